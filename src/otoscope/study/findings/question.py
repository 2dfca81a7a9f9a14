"""A question about layers: what is asked, how its effect is computed, and when the answer is yes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from otoscope.study.findings.assessing import EffectOf, assess
from otoscope.study.findings.evidence import Arrays, Evidence
from otoscope.study.findings.finding import Effect, Finding, Verdict
from otoscope.study.results import Results

__all__ = ["ALPHA", "Question", "verdict_of"]

ALPHA = 0.05
"""The chance of saying "holds" of what does not count, or "does not hold" of what does."""

Reader = Callable[[Results, str], npt.NDArray[np.float64]]


@dataclass(frozen=True)
class Question:
    """A question that is put to each recogniser of a study.

    `id`, `name`, `claim` and `effect_is` are for the reader; `least` is the smallest effect that counts. `read` names
    the arrays of one run (see `readers`), each by what `effect` calls it, which makes one number of those of several
    runs; `baselines` names the same arrays where there should be less of it. `refusal` says why a run's arrays cannot answer
    the question, "" where they can.
    """

    id: str
    name: str
    claim: str
    effect_is: str
    least: float
    read: Mapping[str, str]
    effect: EffectOf
    baselines: Mapping[str, Mapping[str, str]]
    refusal: Callable[[Arrays], str]

    def answer(self, recogniser: str, measure: str, evidence: Evidence, baselines: Mapping[str, Evidence]) -> Finding:
        """The finding from what each run shows. Its verdict is before the correction for several findings."""
        reasons = {run: self.refusal({name: v.value for name, v in arrays.items()}) for run, arrays in evidence.items()}
        refused = {run: why for run, why in reasons.items() if why}
        if refused:
            run, why = next(iter(refused.items()))
            return Finding(self.id, self.name, self.claim, recogniser, measure, "not applicable", f"{run}: {why}")
        effect = assess(self.effect, evidence, least=self.least)
        verdict, reason = verdict_of(effect, self.least, effect.p_above)
        return Finding(
            self.id,
            self.name,
            self.claim,
            recogniser,
            measure,
            verdict,
            reason,
            effect=effect,
            effect_is=self.effect_is,
            least=self.least,
            p=effect.p_above,
            baselines={name: assess(self.effect, of, least=self.least) for name, of in baselines.items()},
            by_run={
                run: self.effect([{name: v.value for name, v in arrays.items()}]) for run, arrays in evidence.items()
            },
        )


def verdict_of(effect: Effect, least: float, p: float) -> tuple[Verdict, str]:
    """Whether an effect counts: two one-sided tests, for it and against it; else there is not enough data.

    Arguments:
        effect: with its interval.
        least: the smallest effect that counts.
        p: that of `effect.p_above`, corrected where several findings are judged.
    """
    if not math.isfinite(effect.value):
        return "not enough data", "the effect is not defined on these values"
    if not math.isfinite(effect.p_above):
        return "not enough data", "one seed and no intervals: train with more seeds, or set intervals = true"
    span = f"{effect.value:.2f} [{effect.low:.2f}, {effect.high:.2f}]"
    if p < ALPHA:
        return "holds", f"the effect, {span}, is above {least:g}"
    if effect.p_below < ALPHA:
        return "does not hold", f"the effect, {span}, is below {least:g}"
    return "not enough data", f"the effect, {span}, may lie on either side of {least:g}"
