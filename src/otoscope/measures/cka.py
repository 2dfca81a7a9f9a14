"""Linear centred kernel alignment, by three estimators."""

from __future__ import annotations

import math
from functools import partial
from typing import Literal, get_args

from otoscope.errors import MeasureError
from otoscope.measures.checks import Array, Utterances
from otoscope.measures.moments import Moments
from otoscope.measures.nulls import permuted_cka
from otoscope.measures.registry import Measure, register
from otoscope.measures.result import Similarity
from otoscope.measures.spectrum import check_varies

__all__ = ["Estimator", "cka", "compute", "similarity_sum"]

Estimator = Literal["cross-utterance", "debiased", "biased"]

MIN_DEBIASED_FRAMES = 4  # the debiased estimator divides by n − 3 (and n − 2)
LEAST, RESOLVED = 1e-12, 100  # of ‖A‖², and in units of the precision of the numbers
MIN_UTTERANCES = 2  # it compares pairs of different utterances


def cka(x: Array, y: Array, *, utterances: Utterances | None = None, estimator: Estimator | None = None) -> Similarity:
    """Linear CKA of two layers.

    Formula: CKA = S(x, y) / √(S(x, x) S(y, y)) with centred features and, by estimator,

    - biased: S = ‖A‖²;
    - debiased: S = ‖A‖² − n/(n−2) Σ aᵢbᵢ + Σaᵢ Σbᵢ / ((n−1)(n−2));
    - cross-utterance: S = ‖A‖² − Σ_u ‖A_u‖² − Σ_u‖s_u‖² Σ_u‖t_u‖² / (n² − Σ n_u²),

    where A = Σ_u A_u, A_u = X_uᵀY_u over utterance u, aᵢ = ‖xᵢ‖², bᵢ = ‖yᵢ‖², s_u and t_u the sums of the frames.

    Use it to compare geometries up to rotation and scale. Speech frames depend on their neighbours, and then the
    biased and debiased estimators read far above 0 on unrelated layers: give `utterances`. Not invariant to
    stretching single directions (see `cca`), and a single strong direction can carry the whole value.

    Arguments:
        x: frames × units, numpy or torch, any floating type.
        y: the same frames × its units.
        utterances: each frame's utterance index, or the list of lengths in frames.
        estimator: `"cross-utterance"` (the default where utterances are given), `"debiased"` (the default where
            not) or `"biased"`.

    Returns:
        The similarity, never clamped. Its null level is 0 for the two unbiased estimators; for the biased one the
        mean over permutations of the frames.

    Raises:
        MeasureError: a layer is constant, not finite or not frames × units; fewer than 4 frames (debiased); fewer
            than 2 utterances, or no utterances (cross-utterance).

    Source: Kornblith et al. 2019 (biased); Song et al. 2012 and Székely & Rizzo 2014 (debiased); the
    cross-utterance estimator is ours, derived in docs/measures.md.

    >>> import torch
    >>> g = torch.Generator().manual_seed(0)
    >>> a, b, c = (torch.randn(400, 16, generator=g) for _ in range(3))
    >>> result = cka(torch.cat([a, b], 1), torch.cat([a, c], 1), utterances=[100, 150, 150])
    >>> result.estimator, round(result.value, 1)
    ('cross-utterance', 0.5)
    """
    if estimator is not None and estimator not in get_args(Estimator):
        raise MeasureError(f"no estimator '{estimator}'; there are {', '.join(get_args(Estimator))}")
    if estimator == "cross-utterance" and utterances is None:
        raise MeasureError(
            "the cross-utterance estimator needs utterances: give each frame's utterance index or the list of "
            "lengths, or choose estimator='debiased'"
        )
    return compute(Moments.of({"x": x, "y": y}, utterances=utterances), "x", "y", estimator=estimator)


def compute(
    moments: Moments, x: str, y: str, *, estimator: Estimator | None = None, measure: str = "cka"
) -> Similarity:
    """`cka` of two layers of the moments; arguments and errors as there."""
    chosen: Estimator = estimator or ("debiased" if moments.utterances is None else "cross-utterance")
    for name in (x, y):
        check_varies(moments, name)
    _check_amount(moments, chosen)
    xx, yy, xy = (similarity_sum(moments, *pair, chosen) for pair in ((x, x), (y, y), (x, y)))
    null = 0.0
    if chosen == "biased":
        traces = float(moments.layer(x).energy), float(moments.layer(y).energy)
        null = permuted_cka(traces, moments.frames, (xx, yy))
    return Similarity(
        measure=measure,
        value=xy / math.sqrt(xx) / math.sqrt(yy),
        null=null,
        frames=moments.frames,
        units=(moments.widths[x], moments.widths[y]),
        layers=(x, y),
        utterances=moments.utterances,
        estimator=chosen,
    )


def similarity_sum(moments: Moments, x: str, y: str, estimator: Estimator) -> float:
    """S(x, y): the inner product of two layers' Gram matrices that the estimator goes by, as in `cka`."""
    if x == y:
        return _self_similarity(moments, x, estimator)
    return _inner(moments, x, y, estimator)


def _inner(moments: Moments, x_name: str, y_name: str, estimator: Estimator) -> float:
    """S(x, y) of centred sums."""
    n, pair = moments.frames, moments.inner(x_name, y_name)
    if estimator == "biased":
        return pair.square
    x, y = moments.layer(x_name), moments.layer(y_name)
    if estimator == "debiased":
        return pair.square - n / (n - 2) * pair.norms + float(x.energy) * float(y.energy) / ((n - 1) * (n - 2))
    assert pair.within is not None  # checked by _check_amount
    between = float(x.by_utterance()[1]) * float(y.by_utterance()[1])
    return pair.square - pair.within - between / (n * n - moments.squares)


def _self_similarity(moments: Moments, name: str, estimator: Estimator) -> float:
    def compute_self() -> float:
        value, whole = _inner(moments, name, name, estimator), moments.inner(name, name).square
        # S is a squared norm; what is left of ‖A‖² below this is rounding.
        if not value > max(LEAST, RESOLVED * moments.precision(name)) * whole:
            raise MeasureError(
                f"layer '{name}' has no similarity with itself left by the {estimator} estimator "
                f"(S = {value:.3g} of ‖A‖² = {whole:.3g}, {moments.frames} frames, {moments.utterances} utterances); "
                "give more speech"
            )
        return value

    return moments.cached(("cka", estimator, name), compute_self)


def _check_amount(moments: Moments, estimator: Estimator) -> None:
    if estimator == "debiased" and moments.frames < MIN_DEBIASED_FRAMES:
        raise MeasureError(f"debiased CKA needs at least {MIN_DEBIASED_FRAMES} frames, got {moments.frames}; give more")
    if estimator != "cross-utterance":
        return
    if moments.utterances is None:
        raise MeasureError(
            "cross-utterance CKA needs moments that keep utterances apart; make them with utterance lengths, or "
            "measure 'cka-debiased'"
        )
    if moments.utterances < MIN_UTTERANCES:
        raise MeasureError(
            f"cross-utterance CKA compares frames of different utterances and needs at least {MIN_UTTERANCES}, got "
            f"{moments.utterances}; give more utterances, or choose the debiased estimator and read its value against "
            "a shuffled baseline"
        )


register(Measure("cka", compute, needs="4 frames; 2 utterances where utterances are given", inner=True))
register(
    Measure(
        "cka-debiased", partial(compute, estimator="debiased", measure="cka-debiased"), needs="4 frames", inner=True
    )
)
register(
    Measure("cka-biased", partial(compute, estimator="biased", measure="cka-biased"), needs="2 frames", inner=True)
)
