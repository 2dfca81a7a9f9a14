"""Angular shape distance."""

from __future__ import annotations

import math

from otoscope.measures.checks import Array
from otoscope.measures.gradient import Gradient
from otoscope.measures.moments import Moments
from otoscope.measures.procrustes import aligned_cosine, cosine_gradient, from_cosine
from otoscope.measures.registry import Measure, register
from otoscope.measures.result import Similarity

__all__ = ["compute", "shape_distance"]


def shape_distance(x: Array, y: Array) -> Similarity:
    """The angle between two centred layers after the best rotation of one onto the other.

    Formula: θ = arccos(‖X̃ᵀỸ‖_* / (‖X̃‖ ‖Ỹ‖)), ‖·‖_* the sum of the singular values; in radians.

    Use it where distances between many layers or recognisers are compared: it is the length of the shortest path
    between two shapes and so adds up along it, as `procrustes` (the chord, √(2 − 2 cos θ)) does not. Not with few
    frames for the units, where unrelated layers come near each other by chance.

    Arguments:
        x: frames × units, numpy or torch, any floating type.
        y: the same frames × its units.

    Returns:
        The angle, from 0 (a rotated, scaled, shifted copy) to π/2 (nothing shared linearly). Below 10⁻⁷ it is
        rounding (below 5·10⁻⁴ where layers are summed in float32). `null` is NaN: no closed form is known; compare
        with a permutation of the utterances.

    Raises:
        MeasureError: a layer is constant, not finite or not frames × units.

    Source: Williams et al. 2021 (the rotation-invariant metric without its regularisation); Kendall 1984.

    >>> import torch
    >>> x = torch.linalg.qr(torch.randn(300, 4, generator=torch.Generator().manual_seed(0)).double()).Q
    >>> round(shape_distance(x - x.mean(0), 2 * x.flip(1) + 1).value, 6)
    0.0
    """
    return compute(Moments.of({"x": x, "y": y}), "x", "y")


def compute(moments: Moments, x: str, y: str) -> Similarity:
    """`shape_distance` of two layers of the moments; errors as there."""
    # Beyond 1 there is rounding only, and no angle.
    angle = math.acos(min(1.0, aligned_cosine(moments, x, y)))
    return from_cosine("shape-distance", angle, moments, x, y)


def gradient(moments: Moments, x: str, y: str) -> Gradient:
    """How `shape_distance` of two layers changes with their covariances."""
    sine = math.sin(compute(moments, x, y).value)
    return cosine_gradient(moments, x, y).times(-1 / sine if sine else 0.0)


register(Measure("shape-distance", compute, needs="2 frames", distance=True, rough=True, gradient=gradient))
