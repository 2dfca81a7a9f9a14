"""Orthogonal Procrustes distance, and the nuclear norm that it shares with two relatives."""

from __future__ import annotations

import math

import torch

from otoscope.measures.checks import Array
from otoscope.measures.gradient import STEADY, Gradient
from otoscope.measures.moments import Moments
from otoscope.measures.registry import Measure, register
from otoscope.measures.result import Similarity
from otoscope.measures.spectrum import check_varies
from otoscope.measures.svd import left_svd, singular_values

__all__ = ["aligned_cosine", "compute", "cosine_gradient", "from_cosine", "gradient", "nuclear_norm", "procrustes"]


def procrustes(x: Array, y: Array) -> Similarity:
    """What remains between two centred layers of unit norm after the best rotation of one onto the other.

    Formula: min_Q ‖X̃/‖X̃‖ − ỸQ/‖Ỹ‖‖ = √(2 − 2 ‖X̃ᵀỸ‖_* / (‖X̃‖ ‖Ỹ‖)), Q orthogonal (partly so between different
    widths), ‖·‖_* the sum of the singular values.

    Use it for a distance that is a true metric (so that layers can be clustered or laid out by it), where strong
    directions should count, but less so than in `cka`, which counts them by variance. Not with few frames for the
    units: unrelated layers come near each other by chance. `shape_distance` is the same as an angle, `bures` as a
    similarity.

    Arguments:
        x: frames × units, numpy or torch, any floating type.
        y: the same frames × its units.

    Returns:
        The distance, from 0 (a rotated, scaled, shifted copy) to √2 (nothing shared linearly). It is a difference of
        nearly equal numbers for nearly equal layers: below 10⁻⁷ it is rounding (below 5·10⁻⁴ where layers are summed in
        float32). `null` is NaN: no closed form is known; compare with a permutation of the utterances.

    Raises:
        MeasureError: a layer is constant, not finite or not frames × units.

    Source: Schönemann 1966; as a distance of layers Williams et al. 2021 and Ding et al. 2021 (who square it).

    >>> import torch
    >>> x = torch.randn(300, 4, generator=torch.Generator().manual_seed(0))
    >>> Q = torch.linalg.qr(torch.randn(4, 4, generator=torch.Generator().manual_seed(1))).Q
    >>> procrustes(x, 5 * x @ Q + 1).value < 1e-3, round(procrustes(x, x[:, :2]).value, 1)
    (True, 0.8)
    """
    return compute(Moments.of({"x": x, "y": y}), "x", "y")


def compute(moments: Moments, x: str, y: str) -> Similarity:
    """`procrustes` of two layers of the moments; errors as there."""
    cosine = aligned_cosine(moments, x, y)
    # The cosine is at most 1, but for rounding, whose root would be NaN.
    return from_cosine("procrustes", math.sqrt(max(0.0, 2 - 2 * cosine)), moments, x, y)


def aligned_cosine(moments: Moments, x: str, y: str) -> float:
    """‖X̃ᵀỸ‖_* / (‖X̃‖ ‖Ỹ‖): the cosine between two layers once one is rotated onto the other."""
    for name in (x, y):
        check_varies(moments, name)
    if x == y:
        return 1.0  # exactly: the distances take the root of what is missing to 1
    norms = math.sqrt(float(moments.layer(x).energy)) * math.sqrt(float(moments.layer(y).energy))
    return nuclear_norm(moments, x, y) / norms


def nuclear_norm(moments: Moments, x: str, y: str) -> float:
    """‖X̃ᵀỸ‖_*, worked out once for each pair."""
    x, y = sorted((x, y))
    return moments.cached_pair(x, y, "nuclear", lambda: float(singular_values(moments.centred(x, y).cross).sum()))


def cosine_gradient(moments: Moments, x: str, y: str) -> Gradient:
    """How `aligned_cosine` of two layers changes with their covariances: the nuclear norm by U Vᵀ."""
    cosine, C = aligned_cosine(moments, x, y), moments.centred(x, y).cross

    def turn() -> torch.Tensor:
        wide = C if len(C) <= C.shape[1] else C.T
        U, values = left_svd(wide)
        U = U[:, values > STEADY * values[0]]
        UV = (U / values[: U.shape[1]]) @ (U.T @ wide)
        return UV if wide is C else UV.T

    energies = [float(moments.layer(name).energy) for name in (x, y)]
    by_x, by_y = (
        torch.eye(width, dtype=C.dtype, device=C.device) * (-cosine / (2 * energy))
        for width, energy in zip(C.shape, energies, strict=True)
    )
    by_cross = moments.cached_pair(x, y, "turn", turn) / math.sqrt(energies[0] * energies[1])
    return Gradient(by_x, by_cross, by_y)


def gradient(moments: Moments, x: str, y: str) -> Gradient:
    """How `procrustes` of two layers changes with their covariances."""
    distance = compute(moments, x, y).value
    return cosine_gradient(moments, x, y).times(-1 / distance if distance else 0.0)


def from_cosine(measure: str, value: float, moments: Moments, x: str, y: str) -> Similarity:
    """The result of one of the three measures that follow from `aligned_cosine`."""
    return Similarity(
        measure=measure,
        value=value,
        null=math.nan,
        frames=moments.frames,
        units=(moments.widths[x], moments.widths[y]),
        layers=(x, y),
        utterances=moments.utterances,
    )


register(Measure("procrustes", compute, needs="2 frames", distance=True, rough=True, gradient=gradient))
