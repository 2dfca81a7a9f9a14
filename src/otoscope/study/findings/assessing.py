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

DEFINED = 0.9
"""Of the perturbed similarities, the share that an effect must be defined on."""

EffectOf = Callable[[Sequence[Seen]], float]
"""The effect in some runs taken together, from what each shows; NaN where it is not defined."""

Part = tuple[float, float]
"""A variance and its degrees of freedom; NaN where there is nothing to tell it from."""


def assess(
    effect: EffectOf,
    evidence: Evidence,
    *,
    least: float,
    floor: float = 0.0,
    level: float = LEVEL,
    draws: int = DRAWS,
) -> Effect:
    """An effect over runs that differ in their seed, with its interval.

    Formula: V = Σ_r V_r + V_speech. V_r = (S − 1)/S Σ_s (θ₍s₎ − mean)² is of recogniser r, from the effect without each
    of its S runs (and without every pair of runs that it is in). V_speech is the variance of the effect of similarities
    s + Σ_b z_b d_b, z_b standard normal and the same for all runs, d_b = √((B − 1)/B) (s₍b₎ − mean): similarities that
    vary, together, as the jackknife over blocks of speech says they do. So effects that are steps, such as rank
    correlations, need no derivative. The interval is θ ± t √V, t with V² / (Σ_r V_r²/(S_r − 1) + V_speech²/(B − 1))
    degrees of freedom (Satterthwaite 1946). What speech adds to the differences between seeds is counted in both: the
    interval is rather too wide.

    Effects that are steps can be equal in two or three runs by chance, and then V_r is 0 and proves nothing: V_r is at
    least `floor`²/S. Where the runs of one recogniser do not tell what their seeds do (a single run; a single pair of
    runs), what holds of these runs may not of others: the interval is over speech, and no p-value is given.

    Arguments:
        effect: from what some runs show to a number.
        evidence: what each run, or several together, show.
        least: the smallest effect that counts, for `p_above` and `p_below`.
        floor: the least standard deviation that runs of a recogniser are taken to have.
        level: of the interval.
        draws: how many perturbed similarities.

    Returns:
        The effect. Its interval is NaN where neither seeds nor speech tell of it: a single run without left-out
        blocks, or an effect that is not defined without one of them. Its p-values are NaN where seeds do not.
    """
    value = effect([entry.seen() for entry in evidence])
    seeds, speech = _over_seeds(effect, evidence, floor), _over_speech(effect, evidence, draws)
    terms = [part for part in (*seeds, speech) if math.isfinite(part[0])]
    over_seeds = math.sqrt(sum(v for v, _ in seeds))  # NaN where one of them is
    errors = over_seeds, math.sqrt(speech[0])
    if not terms or not math.isfinite(value):
        return Effect(value, math.nan, math.nan, level, math.nan, math.nan, *errors)
    variance = sum(v for v, _ in terms)
    known = 1.0 if math.isfinite(over_seeds) else math.nan
    if variance < ROUNDING**2:  # no seed and no speech changes it
        above = value > least + ROUNDING
        return Effect(value, value, value, level, known * (not above), known * above, *errors)
    freedom = variance**2 / sum(v**2 / df for v, df in terms)
    error = math.sqrt(variance)
    reach, at = t_quantile((1 + level) / 2, freedom) * error, (value - least) / error
    return Effect(
        value, value - reach, value + reach, level, known * t_cdf(-at, freedom), known * t_cdf(at, freedom), *errors
    )


def _over_seeds(effect: EffectOf, evidence: Evidence, floor: float) -> list[Part]:
    """One part for each recogniser; NaN where its runs do not tell."""
    of: dict[str, list[str]] = {}
    for run in dict.fromkeys(run for entry in evidence for run in entry.runs):
        of.setdefault(recogniser_of(run), []).append(run)
    # Two recognisers whose runs are in the same pairs, one to one, are left out together: that is one part, not two.
    left: dict[frozenset[tuple[int, ...]], list[str]] = {}
    for runs in of.values():
        left.setdefault(frozenset(_with(run, evidence) for run in runs), runs)
    return [_without_each(effect, evidence, runs, floor) for runs in left.values()]


def _with(run: str, evidence: Evidence) -> tuple[int, ...]:
    return tuple(i for i, entry in enumerate(evidence) if run in entry.runs)


def _without_each(effect: EffectOf, evidence: Evidence, runs: Sequence[str], floor: float) -> Part:
    count = len(runs)
    if count < 2:
        return math.nan, math.nan
    rest = [[entry.seen() for entry in evidence if run not in entry.runs] for run in runs]
    without = np.array([effect(seen) if seen else math.nan for seen in rest])
    variance = float((count - 1) * without.var())
    return (max(variance, floor**2 / count) if math.isfinite(variance) else math.nan), count - 1


def _over_speech(effect: EffectOf, evidence: Evidence, draws: int) -> Part:
    """NaN where blocks of speech were not left out, or not of all that would vary with them."""
    if not (blocks := _blocks(evidence)):
        return math.nan, math.nan
    rows = np.random.default_rng(0).standard_normal((draws, blocks))
    found = np.array([effect([entry.seen(row) for entry in evidence]) for row in rows])
    told = found[np.isfinite(found)]
    if len(told) < DEFINED * draws:
        return math.nan, math.nan
    return float(told.var(ddof=1)), blocks - 1


def _blocks(evidence: Evidence) -> int:
    """The number of blocks, the same for all; 0 where there are none, or some runs lack what others have."""
    names = {name for entry in evidence for name, values in entry.values.items() if values.left_out is not None}
    counts = {
        0 if left is None else len(left)
        for entry in evidence
        for name, left in ((name, entry.values[name].left_out) for name in names if name in entry.values)
    }
    return counts.pop() if len(counts) == 1 else 0
