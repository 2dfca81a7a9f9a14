"""Projection-weighted CCA."""

from __future__ import annotations

from itertools import pairwise

import torch

from otoscope.float32 import fast_float32
from otoscope.measures.canonical import canonical
from otoscope.measures.cca import check_enough_frames
from otoscope.measures.checks import Array
from otoscope.measures.gradient import Gradient, of_whitened
from otoscope.measures.moments import Moments
from otoscope.measures.nulls import mean_correlation
from otoscope.measures.registry import Measure, register
from otoscope.measures.result import Similarity
from otoscope.measures.spectrum import Spectrum, spectrum, whitener
from otoscope.measures.svd import left_svd

__all__ = ["compute", "pwcca"]

CLOSE = 0.02  # squared correlations closer than this swap their variates when a block of speech is left out
EQUAL = 1e-6  # correlations closer than this count as equal: above float32's rounding, below what data can tell


def pwcca(x: Array, y: Array) -> Similarity:
    """Canonical correlations weighed by how much of `x` each canonical variate accounts for.

    Formula: Σ α_i ρ_i / Σ α_i, α_i = Σ_j |⟨h_i, x_j⟩| over the units j of x, h_i the canonical variates of x; both
    centred, so that a constant shift of x changes nothing.

    Use it like `cca`, where directions that hardly matter in `x` should hardly count. It is not symmetric: `x`
    weighs. Where several ρ_i are equal (as where y holds an exact linear map of part of x) any rotation of their
    variates is as good, and the formula alone leaves α_i open: the principal axes among them are taken.

    Arguments:
        x: frames × units, numpy or torch, any floating type; the layer that weighs. It may be the wider one.
        y: the same frames × its units.

    Returns:
        The similarity; `weighted_by` names the layer that weighs. `null` as for `cca`: on independent Gaussian
        layers the weights do not depend on the correlations.

    Raises:
        MeasureError: as for `cca`.

    Source: Morcos et al. 2018.

    >>> import torch
    >>> g = torch.Generator().manual_seed(0)
    >>> x = torch.randn(500, 10, generator=g) + 5
    >>> result = pwcca(x, x[:, :4])
    >>> round(result.value, 4), result.weighted_by
    (1.0, 'x')
    """
    return compute(Moments.of({"x": x, "y": y}), "x", "y")


def compute(moments: Moments, x: str, y: str) -> Similarity:
    """`pwcca` of two layers of the moments, the first weighs; errors as there."""
    units = (moments.widths[x], moments.widths[y])
    check_enough_frames("pwcca", moments.frames, units)
    X, Y = spectrum(moments, x), spectrum(moments, y)
    ranks = (X.rank, Y.rank)
    check_enough_frames("pwcca", moments.frames, units, ranks)
    correlations, weights = canonical(moments, x, y).correlations, _weights(moments, x, y)
    return Similarity(
        measure="pwcca",
        value=float(weights @ correlations),
        null=mean_correlation(*ranks, moments.frames),
        frames=moments.frames,
        units=units,
        ranks=ranks,
        layers=(x, y),
        utterances=moments.utterances,
        weighted_by=x,
        correlations=correlations.cpu().numpy(),
    )


def gradient(moments: Moments, x: str, y: str) -> Gradient:
    """How `pwcca` of two layers changes with their covariances.

    Formula: θ = Σ w_i ρ_i with w_i = α_i / Σ α changes by Σ w_i dρ_i + Σ c_i dα_i, c_i = (ρ_i − θ) / Σ α. With
    F = UᵀO the variates' inner products with the units and S their signs, α_i = s_iᵀ f_i, and F changes as the
    variates turn and as whitening changes. P = Uᵀ dT V turns variate i towards j by (ρ_i P_ji + ρ_j P_ij) / (ρ_i² −
    ρ_j²), which is no derivative where two correlations are close: there the gap g is taken as (g² + 0.02²) / g.
    """
    found = canonical(moments, x, y)
    onto = _units(moments, x, found.x)
    U, V = (side.to(onto) for side in _principal_among_equal(found.matched(), found.correlations, onto))
    rho, weights = found.correlations.to(onto), _weights(moments, x, y).to(onto)
    Wx, Wy = whitener(moments, x, found.x, found.x.rank), whitener(moments, y, found.y, found.y.rank)
    with fast_float32():
        F = U.T @ onto
        told = F.abs() > EQUAL * onto.norm(dim=0)  # a unit that a variate has no part in has no sign there
        S = told * F.sign() * ((rho - weights @ rho) / F.abs().sum())[:, None]
        K, along = S @ F.T, onto @ S.T
        gap = rho[:, None] ** 2 - rho[None, :] ** 2
        turning = rho * (K - K.T) * gap / (gap**2 + CLOSE**2)
        # Within the variates, and out of them where x is the wider layer.
        outwards = (along - U @ (U.T @ along)) / rho.clamp_min(CLOSE)
        Z = U * weights + U @ turning + outwards
        return of_whitened(Wx, Wy, U, rho, V, Z, U @ along.T / 2)


def _weights(moments: Moments, x: str, y: str) -> torch.Tensor:
    """α_i / Σ α_i of every canonical variate of x, worked out once for each pair."""

    def weigh() -> torch.Tensor:
        found = canonical(moments, x, y)
        onto = _units(moments, x, found.x)
        (directions,) = _principal_among_equal((found.left,), found.correlations, onto)
        with fast_float32():
            weights = (directions.to(onto).T @ onto).abs().sum(1).double()
        return weights / weights.sum()

    return moments.cached_pair(x, y, "weights", weigh)


def _units(moments: Moments, x: str, X: Spectrum) -> torch.Tensor:
    """Λ^(1/2) Vᵀ D (r_x × units): the variates X̃ D⁻¹ V Λ^(-1/2) u have the inner products uᵀ of this with the units."""

    def units() -> torch.Tensor:
        onto = X.values.sqrt()[:, None] * X.vectors.T * X.scale
        return onto if moments.axes[x] is None else onto.float()

    return moments.cached(("units", x), units)


def _principal_among_equal(
    directions: tuple[torch.Tensor, ...], correlations: torch.Tensor, onto: torch.Tensor
) -> tuple[torch.Tensor, ...]:
    """Variates of equal correlation, turned to the axes along which x varies most: otherwise rounding chooses.

    `directions` are U, and perhaps V, which turns with it.
    """
    steps = (correlations[:-1] - correlations[1:] > EQUAL).nonzero().flatten() + 1
    edges = [0, *steps.tolist(), len(correlations)]
    if len(edges) in (2, len(correlations) + 1):
        return directions  # none are equal; or all are, and then no weight matters
    turned = tuple(side.clone() for side in directions)
    for start, stop in pairwise(edges):
        if stop - start > 1:
            turn = left_svd(directions[0][:, start:stop].T @ onto.double())[0]
            for side, made in zip(directions, turned, strict=True):
                made[:, start:stop] = side[:, start:stop] @ turn
    return turned


register(
    Measure(
        "pwcca",
        compute,
        symmetric=False,
        needs="more frames than r_x + r_y, the ranks of the two layers",
        invariance=("permutation", "invertible"),
        rough=True,
        gradient=gradient,
        directions=True,
    )
)
