"""What a finding is: a claim about layers, an effect with its interval, and a verdict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

__all__ = ["Effect", "Finding", "Verdict"]

Verdict = Literal["holds", "does not hold", "not applicable", "not enough data"]


@dataclass(frozen=True)
class Effect:
    """The size of what a claim says, and how sure it is.

    `low` and `high` span the true effect with probability `level`, over other seeds and other speech of the same kind;
    NaN where neither is known. `p_above` is the chance of an effect as large as this, or larger, if the true one were
    no larger than what counts; `p_below` that of one as small, or smaller, if the true one did count. `error_seeds` and
    `error_speech` are the standard errors that seeds and speech bring, NaN where they are not known.
    """

    value: float
    low: float
    high: float
    level: float
    p_above: float
    p_below: float
    error_seeds: float
    error_speech: float


@dataclass(frozen=True)
class Finding:
    """One claim by one measure, about a recogniser, two of them, or the whole study (`of`).

    `id` and `name` are the question's, `claim` what was asked, `effect` how much of it there is, `effect_is` what its
    number means, `least` the smallest that counts, `reason` why the verdict is what it is. `baselines` are the same
    effect where there should be none, or less: in the untrained recogniser, of shuffled utterances, and in a random
    order, whose interval is where 95 % of such orders lie; `beyond` how much larger the effect is than in the first
    two. `p` is `effect.p_above`, `corrected` the same after Benjamini & Hochberg (1995) over all findings by the same
    measure. `by_run` has the effect of each run alone, `details` further numbers by name. `left_out` has the runs that
    could not answer, each with the reason; the others answered without them.
    """

    id: str
    name: str
    claim: str
    of: str
    measure: str
    verdict: Verdict = "not enough data"
    reason: str = ""
    effect: Effect | None = None
    effect_is: str = ""
    least: float = 0.0
    p: float | None = None
    corrected: float | None = None
    baselines: Mapping[str, Effect] = field(default_factory=dict)
    beyond: Mapping[str, Effect] = field(default_factory=dict)
    by_run: Mapping[str, float] = field(default_factory=dict)
    details: Mapping[str, float] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)
