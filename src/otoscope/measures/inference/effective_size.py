"""How many independent frames speech is worth, from how long its layers stay the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from otoscope.errors import MeasureError
from otoscope.measures import registry
from otoscope.measures.checks import Array, Utterances, float64
from otoscope.measures.inference.scales import Floats
from otoscope.measures.moments import Moments
from otoscope.measures.nulls import mean_correlation
from otoscope.measures.result import Similarity
from otoscope.measures.samples import Samples
from otoscope.measures.spectrum import spectrum

__all__ = ["EffectiveSize", "effective_null", "effective_size"]

FAMILY = ("cca", "cca-r2", "svcca", "pwcca")


@dataclass(frozen=True, slots=True)
class EffectiveSize:
    """How many independent frames the frames are worth; `float(size)` is that number.

    Arguments:
        frames: the frames there are.
        effective: the independent frames that would spread as little.
        lags: how many frames of delay were summed, until what was left was noise.
        autocorrelation: by delay in frames from 0; the product of both layers' for a pair.
    """

    frames: int
    effective: float
    lags: int
    autocorrelation: Floats = field(repr=False, compare=False)

    def __float__(self) -> float:
        return self.effective


def effective_size(x: Array, y: Array | None = None, *, utterances: Utterances) -> EffectiveSize:
    """The number of independent frames that a layer, or a pair of layers, is worth.

    Formula: n / (1 + 2 Σ_k w_k ρ_x(k) ρ_y(k)), ρ(k) the autocorrelation at a delay of k frames within utterances,
    averaged over the layer's principal directions, each scaled to unit variance (tr Σ⁻¹Γ(k) / rank); w_k is the share
    of frames that have one k frames later in their utterance. Without y, ρ_y = 1. The sum ends where two neighbouring
    terms together are no longer positive, and never rises (Geyer's initial monotone sequence).

    Use it for a pair to see what correlations between unrelated layers of such speech amount to (see
    `effective_null`), for one layer to see how well its mean is known. It describes time within utterances: that
    utterances of one speaker resemble each other it sees only where `utterances` are speakers. Not for the spread of a
    similarity between related layers: take an interval by utterance.

    Arguments:
        x: frames × units, numpy or torch, any floating type.
        y: the same frames × its units; `None` for the layer alone.
        utterances: each frame's utterance index, or the list of lengths in frames.

    Returns:
        The effective size. For AR(1) layers with coefficients φ and ψ in long utterances it is n (1 − φψ)/(1 + φψ).

    Raises:
        MeasureError: a layer is constant, not finite or not frames × units; utterances that do not fit.

    Source: Bayley & Hammersley 1946 (one series); Bartlett 1935 (two); Geyer 1992 (where to stop).

    >>> import torch
    >>> noise = torch.randn(4001, 8, generator=torch.Generator().manual_seed(0))
    >>> x = noise[1:] + noise[:-1]  # autocorrelation 1/2 at a delay of one frame
    >>> round(float(effective_size(x, utterances=[400] * 10)), -2), round(4000 / 2, -2)
    (2000.0, 2000.0)
    >>> round(float(effective_size(x, noise[1:], utterances=[400] * 10)), -2)
    4000.0
    """
    views = {"x": x} if y is None else {"x": x, "y": y}
    samples = Samples.of(views, utterances=utterances)
    moments = Moments.of(samples.views, pairs=[])
    autocorrelations = [_autocorrelation(samples, moments, name, None) for name in views]
    return _size(samples, autocorrelations)


def effective_null(x: Array, y: Array, *, utterances: Utterances, measure: str = "cca") -> Similarity:
    """A similarity of the CCA family with the null level of frames that depend on each other.

    Formula: the null level of independent frames (see `cca`), at the effective size of the pair in place of the
    number of frames; for `svcca` that of the components kept.

    Use it in place of the null level that `cca`, `cca-r2`, `svcca` and `pwcca` carry on their own, which takes the
    frames for independent and reads far too low on speech. On unrelated AR(1) layers it is within 0.005 of what they
    read. `permutation_test` gives the same without assumptions, at the cost of 200 values.

    Arguments:
        x: frames × units, numpy or torch, any floating type.
        y: the same frames × its units.
        utterances: each frame's utterance index, or the list of lengths in frames.
        measure: `"cca"`, `"cca-r2"`, `"svcca"` or `"pwcca"`.

    Returns:
        The similarity; `null` is 1 where the effective size is no more than the rank.

    Raises:
        MeasureError: another measure; otherwise as for `effective_size` and the measure.

    Source: Bartlett 1935 for the variance of correlations between autocorrelated series; Wachter 1980.

    >>> import torch
    >>> g = torch.Generator().manual_seed(0)
    >>> noise = torch.randn(2, 4008, 6, generator=g)
    >>> x, y = noise.unfold(1, 9, 1).sum(-1)  # running sums of 9 frames, unrelated
    >>> found = effective_null(x, y, utterances=[500] * 8)
    >>> from otoscope.measures import cca
    >>> round(cca(x, y).null, 2), round(found.null, 2), round(found.value, 2)
    (0.03, 0.08, 0.08)
    """
    if measure not in FAMILY:
        raise MeasureError(
            f"the null level at the effective size is known for {', '.join(FAMILY)}, not for '{measure}'; use "
            "permutation_test"
        )
    samples = Samples.of({"x": x, "y": y}, utterances=utterances)
    moments = Moments.of(samples.views)
    result = registry.get(measure).compute(moments, "x", "y")
    ranks = result.ranks
    assert ranks is not None  # the family goes by them
    kept = [rank if measure == "svcca" else None for rank in ranks]
    rhos = [_autocorrelation(samples, moments, name, k) for name, k in zip(("x", "y"), kept, strict=True)]
    size = _size(samples, rhos).effective
    null = min(1.0, max(ranks) / (size - 1)) if measure == "cca-r2" else mean_correlation(*ranks, size)
    return replace(result, null=null)


def _autocorrelation(samples: Samples, moments: Moments, name: str, components: int | None) -> Floats:
    """ρ(k) within utterances, averaged over principal directions of unit variance; the leading ones where given."""
    basis = spectrum(moments, name, standardised=components is None)
    count = basis.rank if components is None else components
    view = samples.views[name]
    whitening = basis.vectors[:, :count] / torch.outer(basis.scale, (basis.values[:count] / samples.frames).sqrt())
    mean = moments.mean(name)
    lengths = samples.lengths or ()
    total = np.zeros(max(lengths))
    for start, n in zip(np.cumsum(lengths) - lengths, lengths, strict=True):
        frames = (float64(view[start : start + n], mean.device) - mean) @ whitening
        power = torch.fft.rfft(frames, 2 * n, dim=0).abs().square().sum(1)
        total[:n] += torch.fft.irfft(power, 2 * n)[:n].cpu().numpy()
    return total / _pairs(lengths) / count


def _pairs(lengths: Sequence[int]) -> Floats:
    """How many pairs of frames of one utterance lie k frames apart, by k."""
    lags = np.arange(max(lengths))
    return np.array([np.clip(np.array(lengths) - k, 0, None).sum() for k in lags], dtype=np.float64)


def _size(samples: Samples, autocorrelations: Sequence[Floats]) -> EffectiveSize:
    """n over 1 + 2 Σ w_k Π ρ(k), summed as far as it is more than noise."""
    product = np.prod(autocorrelations, axis=0)
    product = product / product[0]  # which is 1 but for rounding and the cut of the rank
    share = _pairs(samples.lengths or ()) / samples.frames
    inflation, least, lag = -1.0, np.inf, 0
    while lag < len(product):
        pair = product[lag : lag + 2]
        sum_ = float(pair.sum())
        if sum_ <= 0:
            break
        # Never more than the pair before: what rises again is noise.
        inflation += 2 * float(pair @ share[lag : lag + 2]) * min(1.0, least / sum_)
        least, lag = min(least, sum_), lag + 2
    return EffectiveSize(samples.frames, samples.frames / inflation, min(lag, len(product)), product)
