"""Singular vector CCA: mean canonical correlation of the leading principal components."""

from __future__ import annotations

import torch

from otoscope.errors import MeasureError
from otoscope.measures.canonical import Canonical
from otoscope.measures.cca import check_enough_frames
from otoscope.measures.checks import Array
from otoscope.measures.gradient import Gradient, of_correlations
from otoscope.measures.moments import Moments
from otoscope.measures.nulls import mean_correlation
from otoscope.measures.registry import Measure, register
from otoscope.measures.result import Similarity
from otoscope.measures.spectrum import spectrum, whitened_cross, whitener
from otoscope.measures.svd import singular_values

__all__ = ["compute", "svcca"]


def svcca(x: Array, y: Array, *, variance: float = 0.99) -> Similarity:
    """Mean canonical correlation of the principal components that hold most variance.

    Formula: each layer is reduced to the fewest principal components whose share of the centred variance is at
    least `variance`; then the mean of the min(k_x, k_y) canonical correlations of these.

    Use it instead of `cca` where layers have many directions of little variance, or frames are few for the units.
    Invariant to rotation and scale, not to every invertible map.

    Arguments:
        x: frames × units, numpy or torch, any floating type.
        y: the same frames × its units.
        variance: the share of variance to keep, above 0 and at most 1.

    Returns:
        The similarity; its `ranks` are the components kept, k_x and k_y. `null` as for `cca`, for these.

    Raises:
        MeasureError: as for `cca`, with the components kept in place of the units; `variance` outside (0, 1].

    Source: Raghu et al. 2017.

    >>> import torch
    >>> g = torch.Generator().manual_seed(0)
    >>> x = torch.randn(500, 10, generator=g) * torch.tensor([10.0] * 4 + [0.1] * 6)
    >>> result = svcca(x, x.flip(1), variance=0.99)
    >>> round(result.value, 4), result.ranks
    (1.0, (4, 4))
    """
    return compute(Moments.of({"x": x, "y": y}), "x", "y", variance=variance)


def compute(moments: Moments, x: str, y: str, *, variance: float = 0.99) -> Similarity:
    """`svcca` of two layers of the moments; arguments and errors as there."""
    if not 0 < variance <= 1:
        raise MeasureError(f"variance is {variance}; expected a share above 0 and at most 1, such as 0.99")
    units = (moments.widths[x], moments.widths[y])
    X, Y = (spectrum(moments, name, standardised=False) for name in (x, y))
    kept = (X.components(variance), Y.components(variance))
    check_enough_frames("svcca", moments.frames, units, kept)
    correlations = singular_values(whitened_cross(moments, x, y, X, Y, *kept))
    return Similarity(
        measure="svcca",
        value=float(correlations.mean()),
        null=mean_correlation(*kept, moments.frames),
        frames=moments.frames,
        units=units,
        ranks=kept,
        layers=(x, y),
        utterances=moments.utterances,
        correlations=correlations.cpu().numpy(),
    )


def gradient(moments: Moments, x: str, y: str, *, variance: float = 0.99) -> Gradient:
    """How `svcca` of two layers changes with their covariances, the components held as they are.

    Which components are kept, and how they turn, is left out: the last of them are as good as others.
    """
    X, Y = (spectrum(moments, name, standardised=False) for name in (x, y))
    kx, ky = X.components(variance), Y.components(variance)
    found = Canonical(X, Y, whitened_cross(moments, x, y, X, Y, kx, ky), {})
    (U, V), rho = found.matched(), found.correlations
    Wx, Wy = whitener(moments, x, X, kx), whitener(moments, y, Y, ky)
    return of_correlations(Wx, Wy, U, rho, V, torch.full_like(rho, 1 / len(rho)))


register(
    Measure(
        "svcca",
        compute,
        needs="more frames than k_x + k_y, the components kept of the two layers",
        rough=True,
        gradient=gradient,
    )
)
