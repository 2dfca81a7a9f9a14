"""How sure an effect is: over seeds by leaving each out, over speech from similarities without each block of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from otoscope.measures.inference.student import t_cdf, t_quantile
from otoscope.study.findings.evidence import Arrays, Evidence, Values, perturbed
from otoscope.study.findings.finding import Effect

__all__ = ["LEVEL", "EffectOf", "assess"]

LEVEL = 0.95
DRAWS = 200
"""Of perturbed similarities: the standard deviation of an effect over them is known to 5 %."""

EffectOf = Callable[[Sequence[Arrays]], float]
"""The effect in some runs taken together, from what each shows; NaN where it is not defined."""


def assess(effect: EffectOf, evidence: Evidence, *, least: float, level: float = LEVEL, draws: int = DRAWS) -> Effect:
    """An effect over runs that differ in their seed, with its interval.

    Formula: V = V_seeds + V_speech. V_seeds = (S − 1)/S Σ_s (θ₍s₎ − mean)², from the effect without each seed's run.
    V_speech is the variance of the effect of similarities s + Σ_b z_b d_b, z_b standard normal and the same for all
    runs, d_b = √((B − 1)/B) (s₍b₎ − mean): similarities that vary, together, as the jackknife over blocks of speech says
    they do. So effects that are steps, such as rank correlations, need no derivative. The interval is θ ± t √V with
    (V_seeds + V_speech)² / (V_seeds²/(S − 1) + V_speech²/(B − 1)) degrees of freedom (Satterthwaite 1946). What speech
    adds to the differences between seeds is counted in both: the interval is rather too wide.

    Arguments:
        effect: from the arrays of some runs to a number.
        evidence: by run the arrays, see `gather_values`.
        least: the smallest effect that counts, for `p_above` and `p_below`.
        level: of the interval.
        draws: how many perturbed similarities.

    Returns:
        The effect. Its interval is NaN where neither seeds nor speech tell of it: a single run without left-out
        blocks, or an effect that is not defined without one of them.
    """
    runs = list(evidence.values())
    value = effect([_plain(run) for run in runs])
    seeds, speech = _over_seeds(effect, runs), _over_speech(effect, runs, draws)
    terms = [(v, df) for v, df in (seeds, speech) if math.isfinite(v)]
    errors = math.sqrt(seeds[0]), math.sqrt(speech[0])
    if not terms or not math.isfinite(value):
        return Effect(value, math.nan, math.nan, level, math.nan, math.nan, *errors)
    variance = sum(v for v, _ in terms)
    if variance == 0:  # no seed and no speech changes it
        return Effect(value, value, value, level, float(value <= least), float(value > least), *errors)
    freedom = variance**2 / sum(v**2 / df for v, df in terms)
    error = math.sqrt(variance)
    reach, at = t_quantile((1 + level) / 2, freedom) * error, (value - least) / error
    return Effect(value, value - reach, value + reach, level, t_cdf(-at, freedom), t_cdf(at, freedom), *errors)


def _plain(run: Mapping[str, Values]) -> Arrays:
    return {name: values.value for name, values in run.items()}


def _over_seeds(effect: EffectOf, runs: Sequence[Mapping[str, Values]]) -> tuple[float, float]:
    """Variance and degrees of freedom, NaN where there is one run, or none without one of them."""
    count = len(runs)
    if count < 2:
        return math.nan, math.nan
    without = np.array([effect([_plain(run) for i, run in enumerate(runs) if i != s]) for s in range(count)])
    return float((count - 1) * without.var()), count - 1


def _over_speech(effect: EffectOf, runs: Sequence[Mapping[str, Values]], draws: int) -> tuple[float, float]:
    """Variance and degrees of freedom, NaN where blocks of speech were not left out."""
    spreads = [{name: values.spreads() for name, values in run.items()} for run in runs]
    known = [s for run in spreads for s in run.values() if s is not None]
    if not known or any(len(s) != len(known[0]) for s in known):
        return math.nan, math.nan
    rows = np.random.default_rng(0).standard_normal((draws, len(known[0])))
    found = [effect([perturbed(run, spread, row) for run, spread in zip(runs, spreads, strict=True)]) for row in rows]
    return float(np.var(found, ddof=1)), len(known[0]) - 1
