"""A question about layers: what is asked, how its effect is computed, and when the answer is yes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from otoscope.study.findings.assessing import LEVEL, EffectOf, assess
from otoscope.study.findings.evidence import Entry, Evidence, Seen
from otoscope.study.findings.finding import Effect, Finding, Verdict

__all__ = ["ALPHA", "RANDOM_ORDER", "Question", "Scope", "Shuffle", "TooLittle", "judged", "verdict_of"]

ALPHA = 0.05
"""The chance of saying "holds" of what does not count, or "does not hold" of what does."""

FLOOR = 0.1
"""Runs of a recogniser are taken to differ by at least this share of what counts, however alike two or three may be."""

Scope = Literal["recogniser", "against others", "seeds", "pair", "study"]
"""What a question is put to: a recogniser by its runs; the same beside the runs of all others; the pairs of its runs;
two recognisers by pairs of a run of each; all runs of the study."""


class TooLittle(str):
    """A refusal that more checkpoints, runs or speech would lift: the verdict is "not enough data"."""

    __slots__ = ()


RANDOM_ORDER = "random order"
"""The baseline of questions about an order: the same values in orders drawn at random."""

ORDERS = 200
"""Drawn at random: the ends of the middle 95 % are known to one in a hundred."""

Shuffle = Callable[[Sequence[Seen], np.random.Generator], Sequence[Seen]]
"""What runs show with the order of something drawn at random."""


def _nothing(seen: Sequence[Seen]) -> dict[str, float]:
    return {}


def _no_premise(seen: Sequence[Seen]) -> str:
    return ""


@dataclass(frozen=True)
class Question:
    """A question that is put to a study.

    `id`, `name`, `claim` and `effect_is` are for the reader; `least` is the smallest effect that counts; `scope` says
    what it is put to. `read` names the arrays that runs show (see `reading.READERS`), each by what `effect` calls it,
    which makes one number of what several show. `baselines` reads the same names where there should be less of it;
    `shuffle`, of questions about an order, puts it at random, which is their baseline. `refusal` says why what one
    shows cannot answer the question, "" where it can, and `TooLittle` of what more data would mend: those that cannot
    answer are left out. `premise` says why the question makes no sense of what those that can show together, "" where
    it does. `details` gives further numbers.
    """

    id: str
    name: str
    claim: str
    effect_is: str
    least: float
    read: Mapping[str, str]
    effect: EffectOf
    refusal: Callable[[Seen], str]
    scope: Scope = "recogniser"
    baselines: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    shuffle: Shuffle | None = None
    premise: Callable[[Sequence[Seen]], str] = _no_premise
    details: Callable[[Sequence[Seen]], Mapping[str, float]] = _nothing

    def arrays(self) -> dict[str, str]:
        """All that is read: what the effect calls it, after `<baseline>:` where it is a baseline's, and the reader."""
        of_baselines = {f"{b}:{name}": at for b, read in self.baselines.items() for name, at in read.items()}
        return dict(self.read) | of_baselines

    def prepared(self, evidence: Evidence) -> Evidence:
        """What the effect is computed from, as it was read: a question may put something beside it."""
        return evidence

    def answer(self, of: str, measure: str, evidence: Evidence) -> Finding:
        """The finding about `of` from what runs show. Its verdict is before the correction for several findings."""
        asked = Finding(self.id, self.name, self.claim, of, measure, effect_is=self.effect_is, least=self.least)
        evidence = self.prepared(evidence)
        refusals = [self.refusal(entry.only(self.read).seen()) for entry in evidence]
        left_out = {_label(entry): str(why) for entry, why in zip(evidence, refusals, strict=True) if why}
        evidence = [entry for entry, why in zip(evidence, refusals, strict=True) if not why]
        main = [entry.only(self.read) for entry in evidence]
        shown = [entry.seen() for entry in main]
        if not any(seen.own for seen in shown):
            lacking = any(isinstance(why, TooLittle) for why in refusals)
            run, reason = next(iter(left_out.items()))
            verdict: Verdict = "not enough data" if lacking else "not applicable"
            return replace(asked, verdict=verdict, reason=f"{run}: {reason}", left_out=left_out)
        if lacking_premise := self.premise(shown):
            return replace(asked, verdict="not applicable", reason=lacking_premise, left_out=left_out)
        effect = assess(self.effect, main, least=self.least, floor=FLOOR * self.least)
        asked = judged(replace(asked, effect=effect, left_out=left_out), effect.p_above)
        return replace(
            asked,
            p=effect.p_above,
            baselines={
                b: assess(self._at(b), evidence, least=self.least, floor=FLOOR * self.least) for b in self.baselines
            }
            | self._by_chance(shown),
            beyond={b: assess(self._beyond(b), evidence, least=0.0, floor=FLOOR * self.least) for b in self.baselines},
            by_run=self._by_run(shown),
            details=dict(self.details(shown)),
        )

    def _at(self, baseline: str) -> EffectOf:
        """The effect in a baseline."""
        return lambda seen: self.effect([_of(one, f"{baseline}:") for one in seen])

    def _beyond(self, baseline: str) -> EffectOf:
        """How much larger the effect is than in a baseline."""
        return lambda seen: self.effect(seen) - self._at(baseline)(seen)

    def _by_chance(self, shown: Sequence[Seen]) -> dict[str, Effect]:
        """The effect of orders drawn at random: its mean, and where the middle 95 % of them lie."""
        if self.shuffle is None:
            return {}
        random = np.random.default_rng(0)
        found = np.array([self.effect(self.shuffle(shown, random)) for _ in range(ORDERS)])
        told = found[np.isfinite(found)]
        if not len(told):
            return {}
        low, high = np.quantile(told, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]).tolist()
        return {RANDOM_ORDER: Effect(float(told.mean()), low, high, LEVEL, math.nan, math.nan, math.nan, math.nan)}

    def _by_run(self, shown: Sequence[Seen]) -> dict[str, float]:
        """The effect by each entry of its own, beside all that are only compared with."""
        others = [seen for seen in shown if not seen.own]
        return {_label(seen): self.effect([seen, *others]) for seen in shown if seen.own}


def _of(seen: Seen, prefix: str) -> Seen:
    arrays = {name.removeprefix(prefix): a for name, a in seen.arrays.items() if name.startswith(prefix)}
    return Seen(seen.runs, arrays, seen.own)


def _label(seen: Seen | Entry) -> str:
    return " × ".join(seen.runs)


def judged(finding: Finding, p: float) -> Finding:
    """The finding with the verdict of its effect, by this p-value."""
    assert finding.effect is not None
    verdict, reason = verdict_of(finding.effect, finding.least, p)
    without = "; ".join(f"{run} ({why})" for run, why in finding.left_out.items())
    return replace(finding, verdict=verdict, reason=f"{reason}; left out: {without}" if without else reason)


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
        span = (
            f": {effect.value:.2f} [{effect.low:.2f}, {effect.high:.2f}] over speech"
            if effect.low == effect.low
            else ""
        )
        return "not enough data", f"what other seeds would change is not known{span}: train with more seeds"
    span = f"{effect.value:.2f} [{effect.low:.2f}, {effect.high:.2f}]"
    of = "" if math.isfinite(effect.error_speech) else "; over seeds alone, set intervals = true for speech"
    if p < ALPHA:
        return "holds", f"the effect, {span}, is above {least:g}{of}"
    if effect.p_below < ALPHA:
        return "does not hold", f"the effect, {span}, is below {least:g}{of}"
    return "not enough data", f"the effect, {span}, may lie on either side of {least:g}{of}"
