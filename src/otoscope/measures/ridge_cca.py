"""Regularised CCA: directions of little variance count little."""

from __future__ import annotations

import math

from otoscope.errors import MeasureError
from otoscope.measures.checks import Array
from otoscope.measures.moments import Moments
from otoscope.measures.registry import Measure, register
from otoscope.measures.result import Similarity
from otoscope.measures.spectrum import spectrum, whitened_cross
from otoscope.measures.svd import singular_values

__all__ = ["compute", "ridge_cca"]


def ridge_cca(x: Array, y: Array, *, kappa: float = 0.1) -> Similarity:
    """Canonical correlations of covariances with a ridge, as a share of what each layer has with itself.

    Formula: Σ_{i≤k} σᵢ / √(Σ_{i≤k} s_i Σ_{i≤k} t_i), k = min(r_x, r_y), σ the singular values of
    (Σ_xx + κ v_x I)^(-1/2) Σ_xy (Σ_yy + κ v_y I)^(-1/2), v the mean variance over the r principal directions of a
    layer, s_i = λ_i / (λ_i + κ v_x) those that x has with itself (λ_i its variances, largest first), t_i those of y.

    Use it between two extremes: for κ → 0 it becomes `cca`, where every direction counts alike, for κ → ∞ `bures`
    (layers of equal rank), where directions count by their standard deviation. A direction with κ times the mean
    variance counts half. Unlike `svcca` it cuts nothing off. Too few frames do not stop it, but do not leave it
    unharmed: with as many frames as units or fewer, unrelated layers still read far above 0 (docs/measures.md has
    the numbers), because the ridge shrinks a direction's part in the value, not the fit by chance. There take more
    speech, `held_out_cca` or an unbiased `cka`.

    Arguments:
        x: frames × units, numpy or torch, any floating type.
        y: the same frames × its units.
        kappa: the ridge, as a multiple of each layer's mean variance; above 0.

    Returns:
        The similarity in [0, 1] but for rounding, 1 for a layer with itself. `correlations` are the σᵢ themselves,
        Vinod's canonical ridge correlations, which are below 1 even for a layer with itself. `null` is NaN: no
        closed form is known; compare with a permutation of the utterances.

    Raises:
        MeasureError: a layer is constant, not finite or not frames × units; `kappa` not above 0.

    Source: Vinod 1976; the divisor, which gives a layer 1 with itself, is ours.

    >>> import torch
    >>> g = torch.Generator().manual_seed(0)
    >>> x, e = (torch.randn(500, 10, generator=g) for _ in range(2))
    >>> round(ridge_cca(x, 3 * x - 1).value, 4), round(ridge_cca(x, torch.cat([x[:, :5], e[:, :5]], 1)).value, 1)
    (1.0, 0.5)
    """
    return compute(Moments.of({"x": x, "y": y}), "x", "y", kappa=kappa)


def compute(moments: Moments, x: str, y: str, *, kappa: float = 0.1) -> Similarity:
    """`ridge_cca` of two layers of the moments; arguments and errors as there."""
    if not 0 < kappa < math.inf:
        raise MeasureError(
            f"kappa is {kappa}; expected a number above 0, such as 0.1. Without a ridge the measure is cca"
        )
    X, Y = (spectrum(moments, name, standardised=False) for name in (x, y))
    ranks = (X.rank, Y.rank)
    kept_x, kept_y = (z.values / (z.values + kappa * z.values.mean()) for z in (X, Y))
    whitened = whitened_cross(moments, x, y, X, Y, *ranks)
    correlations = singular_values(kept_x.sqrt()[:, None] * whitened * kept_y.sqrt())
    k = min(ranks)
    # σ(S^½ R T^½) with a contraction R sum to at most Σ √(s_i t_i), so by Cauchy–Schwarz the value is at most 1.
    own = math.sqrt(float(kept_x[:k].sum()) * float(kept_y[:k].sum()))
    return Similarity(
        measure="cca-ridge",
        value=float(correlations.sum()) / own,
        null=math.nan,
        frames=moments.frames,
        units=(moments.widths[x], moments.widths[y]),
        ranks=ranks,
        layers=(x, y),
        utterances=moments.utterances,
        correlations=correlations.cpu().numpy(),
    )


register(Measure("cca-ridge", compute, needs="2 frames; more frames than r_x + r_y to mean much", rough=True))
