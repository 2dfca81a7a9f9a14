"""How sure an effect is: over seeds by leaving each out, over speech from similarities without each block of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from otoscope.measures.inference.student import t_cdf, t_quantile
from otoscope.study.findings.evidence import Evidence, Seen, recogniser_of
from otoscope.study.findings.finding import Effect

__all__ = ["LEVEL", "EffectOf", "assess"]

LEVEL = 0.95
DRAWS = 200
"""Of perturbed similarities: the standard deviation of an effect over them is known to 5 %."""

ROUNDING = 1e-9
"""Effects that differ by less are equal."""

EffectOf = Callable[[Sequence[Seen]], float]
"""The effect in some runs taken together, from what each shows; NaN where it is not defined."""

Part = tuple[float, float]
"""A variance and its degrees of freedom; NaN where there is nothing to tell it from."""


def assess(effect: EffectOf, evidence: Evidence, *, least: float, level: float = LEVEL, draws: int = DRAWS) -> Effect:
    """An effect over runs that differ in their seed, with its interval.

    Formula: V = Σ_r V_r + V_speech. V_r = (S − 1)/S Σ_s (θ₍s₎ − mean)² is of recogniser r, from the effect without each
    of its S runs (and without every pair of runs that it is in). V_speech is the variance of the effect of similarities
    s + Σ_b z_b d_b, z_b standard normal and the same for all runs, d_b = √((B − 1)/B) (s₍b₎ − mean): similarities that
    vary, together, as the jackknife over blocks of speech says they do. So effects that are steps, such as rank
    correlations, need no derivative. The interval is θ ± t √V, t with V² / (Σ_r V_r²/(S_r − 1) + V_speech²/(B − 1))
    degrees of freedom (Satterthwaite 1946). What speech adds to the differences between seeds is counted in both: the
    interval is rather too wide.

    Arguments:
        effect: from what some runs show to a number.
        evidence: what each run, or several together, show.
        least: the smallest effect that counts, for `p_above` and `p_below`.
        level: of the interval.
        draws: how many perturbed similarities.

    Returns:
        The effect. Its interval is NaN where neither seeds nor speech tell of it: a single run without left-out
        blocks, or an effect that is not defined without one of them.
    """
    value = effect([entry.seen() for entry in evidence])
    seeds, speech = _over_seeds(effect, evidence), _over_speech(effect, evidence, draws)
    terms = [part for part in (*seeds, speech) if math.isfinite(part[0])]
    over_seeds = math.sqrt(sum(v for v, _ in seeds)) if seeds else math.nan
    errors = over_seeds, math.sqrt(speech[0])
    if not terms or not math.isfinite(value):
        return Effect(value, math.nan, math.nan, level, math.nan, math.nan, *errors)
    variance = sum(v for v, _ in terms)
    if variance < ROUNDING**2:  # no seed and no speech changes it
        above = value > least + ROUNDING
        return Effect(value, value, value, level, float(not above), float(above), *errors)
    freedom = variance**2 / sum(v**2 / df for v, df in terms)
    error = math.sqrt(variance)
    reach, at = t_quantile((1 + level) / 2, freedom) * error, (value - least) / error
    return Effect(value, value - reach, value + reach, level, t_cdf(-at, freedom), t_cdf(at, freedom), *errors)


def _over_seeds(effect: EffectOf, evidence: Evidence) -> list[Part]:
    """One part for each recogniser with several runs; NaN where the effect is not defined without one of them."""
    of: dict[str, list[str]] = {}
    for run in dict.fromkeys(run for entry in evidence for run in entry.runs):
        of.setdefault(recogniser_of(run), []).append(run)
    return [_without_each(effect, evidence, runs) for runs in of.values() if len(runs) > 1]


def _without_each(effect: EffectOf, evidence: Evidence, runs: Sequence[str]) -> Part:
    rest = [[entry.seen() for entry in evidence if run not in entry.runs] for run in runs]
    without = np.array([effect(seen) if seen else math.nan for seen in rest])
    return float((len(runs) - 1) * without.var()), len(runs) - 1


def _over_speech(effect: EffectOf, evidence: Evidence, draws: int) -> Part:
    """NaN where blocks of speech were not left out."""
    counts = {entry.blocks for entry in evidence} - {0}
    if len(counts) != 1:
        return math.nan, math.nan
    (blocks,) = counts
    rows = np.random.default_rng(0).standard_normal((draws, blocks))
    found = [effect([entry.seen(row) for entry in evidence]) for row in rows]
    return float(np.var(found, ddof=1)), blocks - 1
