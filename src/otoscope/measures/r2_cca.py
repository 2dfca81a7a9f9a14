"""Mean squared canonical correlation, R²_CCA."""

from __future__ import annotations

import torch

from otoscope.measures.cca import check_enough_frames
from otoscope.measures.checks import Array
from otoscope.measures.moments import Moments
from otoscope.measures.registry import Measure, register
from otoscope.measures.result import Similarity
from otoscope.measures.spectrum import spectrum, whitened_cross

__all__ = ["compute", "r2_cca"]


def r2_cca(x: Array, y: Array) -> Similarity:
    """Mean squared canonical correlation of two layers.

    Formula: Σ ρ² / min(r_x, r_y) = ‖Q_xᵀQ_y‖² / min(r_x, r_y), ρ the canonical correlations, r the numerical ranks,
    Q orthonormal bases of the centred layers.

    Use it as `cca`, where the share of variance that two layers' variates have in common is wanted; it is cheaper (no
    singular values) and its null level is exact for any data. The divisor is the smaller rank, so that a layer that
    lies within the other reads 1; Kornblith et al. divide by the units of one layer, which is the same where that
    layer is the narrower one and has full rank.

    Arguments:
        x: frames × units, numpy or torch, any floating type.
        y: the same frames × its units.

    Returns:
        The similarity in [0, 1] but for rounding. `null` is max(r_x, r_y) / (n − 1), the exact mean over all
        permutations of one layer's frames.

    Raises:
        MeasureError: as for `cca`.

    Source: Kornblith et al. 2019.

    >>> import torch
    >>> g = torch.Generator().manual_seed(0)
    >>> x = torch.randn(501, 10, generator=g)
    >>> y = torch.randn(501, 20, generator=g)
    >>> r2_cca(x, y).null, round(r2_cca(x, y).value, 2), round(r2_cca(x, x[:, :4]).value, 4)
    (0.04, 0.05, 1.0)
    """
    return compute(Moments.of({"x": x, "y": y}), "x", "y")


def compute(moments: Moments, x: str, y: str) -> Similarity:
    """`r2_cca` of two layers of the moments; errors as there."""
    units = (moments.widths[x], moments.widths[y])
    check_enough_frames("cca-r2", moments.frames, units)
    X, Y = spectrum(moments, x), spectrum(moments, y)
    ranks = (X.rank, Y.rank)
    check_enough_frames("cca-r2", moments.frames, units, ranks)
    whitened = whitened_cross(moments, x, y, X, Y, *ranks)
    return Similarity(
        measure="cca-r2",
        value=float(torch.linalg.vector_norm(whitened, dtype=torch.float64)) ** 2 / min(ranks),
        null=max(ranks) / (moments.frames - 1),
        frames=moments.frames,
        units=units,
        ranks=ranks,
        layers=(x, y),
        utterances=moments.utterances,
    )


register(
    Measure(
        "cca-r2",
        compute,
        needs="more frames than r_x + r_y, the ranks of the two layers",
        invariance=("invertible", "invertible"),
    )
)
