"""F10: whether the other findings hang on the measure, the estimator, the speech, the frame grid or noise."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from otoscope.errors import StudyError
from otoscope.study.comparisons import asked_of_further_sets
from otoscope.study.findings.evidence import Entry, Seen, Values
from otoscope.study.findings.finding import Finding
from otoscope.study.findings.groups import Group, Reading, groups_of
from otoscope.study.findings.question import Question
from otoscope.study.results import Results

__all__ = ["ID", "LEAST", "Alternative", "agreeing", "robust"]

ID = "F10"

LEAST = 0.75
"""Three of four alternatives on the finding's side, and its verdict counts as robust."""


@dataclass(frozen=True, slots=True)
class Alternative:
    """Another way to the same finding: by another measure, or on another probe set ("" is the main one)."""

    measure: str
    probe: str = ""

    def kind(self, than: Alternative, about: Mapping[str, Mapping[str, object]]) -> str:
        """What is other in it than in the way that the study claims by; `about` says what the probe sets are."""
        if not self.probe:
            both = {self.measure, than.measure}
            return "estimators" if both <= ESTIMATORS else "measures"
        told = about.get(self.probe, {})
        if told.get("noise"):
            return "noise"
        return "frame grids" if told.get("grid") not in (None, 1) else "speech"

    @property
    def name(self) -> str:
        """As a finding's details call it.

        >>> Alternative("cka", "noisy").name
        'cka on noisy'
        """
        return f"{self.measure} on {self.probe}" if self.probe else self.measure


ESTIMATORS = frozenset(("cka", "cka-debiased", "cka-biased"))
"""Of one number, linear CKA."""

Found = tuple[Alternative, list[Entry]]
"""A way to a finding, and what runs show by it."""


def robust(results: Results, findings: Sequence[Finding], questions: Sequence[Question]) -> list[Finding]:
    """Puts to every finding the question whether other ways lead to the same answer.

    Asked is of the findings by the first measure, since what a study claims, it claims by one. The other ways are
    all other measures of the study, biased and unbiased estimators among them, on the same speech; and the same
    measure on each further probe set: other speakers, coarser frames, added noise (`[probes]` in `study.toml`), for
    the questions that are put to these.

    Formula: effect = (1/A) Σ_a [θ_a > least] = [θ > least], of the finding's effect θ and its effects θ_a by the A
    alternatives. Its interval is that of any finding: all ways are followed again without each seed, and with
    similarities moved as the jackknife over blocks of speech says, the same blocks for all ways. So a finding near its
    threshold is not robust, although each way may fall on the same side once. The share among the ways of each kind
    (other measures, other estimators of the same one, other speech, frame grids, noise) is beside it in the details.

    Arguments:
        results: of a study.
        findings: those of `find_all`.
        questions: those that were asked; findings of others are passed over.

    Returns:
        A finding `F10-<id>` for each finding by the first measure, about the same. `details` have the effect by each
        way, the finding's own first, NaN where a way leads to none; then, as `agreeing: <kind>`, the shares.

    Source: Steegen, Tuerlinckx, Gelman & Vanpaemel (2016), who call it a multiverse analysis: a conclusion is shown by
    all reasonable ways of processing the data, not by the one that was chosen.
    """
    if not findings:
        return []
    asked, first = {question.id: question for question in questions}, findings[0].measure
    readings = _Readings(results)
    return [
        _about(finding, asked[finding.id], readings)
        for finding in findings
        if finding.measure == first and finding.id in asked
    ]


class _Readings:
    """Arrays of a study, on each of its probe sets."""

    def __init__(self, results: Results) -> None:
        self.results = results
        self._of: dict[str, Reading] = {}

    def of(self, probe: str) -> Reading:
        if probe not in self._of:
            self._of[probe] = Reading(self.results.of_probe(probe) if probe else self.results)
        return self._of[probe]

    def besides(self, measure: str, question: Question) -> Iterator[Alternative]:
        """All other ways than by this measure on the main probe set.

        Questions of the course of training and of word errors are put to the main one alone, whose errors are known.
        """
        yield from (Alternative(other) for other in self.results.measures if other != measure)
        if asked_of_further_sets([question.id.partition("-")[0]]):
            yield from (Alternative(measure, probe) for probe in self.results.probes)


def _about(finding: Finding, question: Question, readings: _Readings) -> Finding:
    """Whether a finding is robust."""
    asked = Finding(
        id=f"{ID}-{question.id}",
        name=f"robustness: {question.name}",
        claim=f"other measures and other speech say the same of {question.id}, {question.name}",
        of=finding.of,
        measure=finding.measure,
        verdict="not applicable",
        effect_is=f"share of other ways whose effect is on the same side of {question.least:g} as by this one",
        least=LEAST,
    )
    if finding.effect is None or not math.isfinite(finding.effect.value):
        return replace(asked, reason=f"{question.id} has no effect by {finding.measure}: {finding.reason}")
    groups = dict(groups_of(readings.results.runs, question.scope))[finding.of]
    ways: list[Found] = []
    without: dict[str, str] = {}
    for way in (Alternative(finding.measure), *readings.besides(finding.measure, question)):
        entries, reason = _follow(way, question, groups, readings)
        if reason:
            without[way.name] = reason
        else:
            ways.append((way, entries))
    nothing = dict.fromkeys(without, math.nan)
    if len(ways) == 1:
        return replace(asked, reason=_none(without), details={finding.measure: finding.effect.value, **nothing})
    about = json.loads(readings.results.dataset.attrs.get("probes", "{}"))
    found = _compared(asked, question, ways, about).answer(finding.of, finding.measure, _together(question, ways))
    untold = f"; no answer by {_listed(without)}" if without else ""
    return replace(found, reason=found.reason + untold, details={**found.details, **nothing})


def _follow(
    way: Alternative, question: Question, groups: Sequence[Group], readings: _Readings
) -> tuple[list[Entry], str]:
    """What runs show by a way, or why that is no answer to the question."""
    asked = replace(question, baselines={})  # which further probe sets have not
    try:
        entries = list(question.prepared(readings.of(way.probe).entries(asked, groups, way.measure)))
    except StudyError as error:
        return [], str(error)
    return entries, next((why for entry in entries if (why := question.refusal(entry.seen()))), "")


def _none(without: Mapping[str, str]) -> str:
    if without:
        return f"no other way has an answer: {_listed(without)}"
    return "one measure and one probe set: add measures, or [probes], to study.toml"


def _listed(without: Mapping[str, str]) -> str:
    return "; ".join(f"{name} ({reason})" for name, reason in without.items())


def _compared(
    asked: Finding, question: Question, ways: Sequence[Found], about: Mapping[str, Mapping[str, object]]
) -> Question:
    """The question whether these ways lead to the same side."""
    names = [way.name for way, _ in ways]
    own = ways[0][0]
    kinds = [way.kind(own, about) for way, _ in ways[1:]]

    def effects(seen: Sequence[Seen]) -> list[float]:
        return [question.effect([_by(name, one) for one in seen]) for name in names]

    def details(seen: Sequence[Seen]) -> Mapping[str, float]:
        found = effects(seen)
        shares = {
            f"agreeing: {kind}": agreeing(
                [found[0], *(e for e, k in zip(found[1:], kinds, strict=True) if k == kind)], question.least
            )
            for kind in dict.fromkeys(kinds)
        }
        return dict(zip(names, found, strict=True)) | shares

    return Question(
        id=asked.id,
        name=asked.name,
        claim=asked.claim,
        effect_is=asked.effect_is,
        least=asked.least,
        read={_key(name, array): reader for name in names for array, reader in question.read.items()},
        effect=lambda seen: agreeing(effects(seen), question.least),
        refusal=lambda seen: "",
        scope=question.scope,
        details=details,
    )


def agreeing(effects: Sequence[float], least: float) -> float:
    """The share of the effects after the first that are on its side of `least`: above it, or not.

    >>> agreeing([0.9, 0.8, 0.6, 0.1], least=0.5)
    0.6666666666666666
    """
    sides = np.asarray(effects) > least
    told = np.isfinite(effects)  # an effect that is not defined is on neither side
    return float(np.mean((sides == sides[0])[1:] & told[1:])) if told[0] else math.nan


def _together(question: Question, ways: Sequence[Found]) -> list[Entry]:
    """What runs show by all ways, named after them."""
    left_out = [v.left_out for _, entries in ways for entry in entries for v in entry.values.values()]
    blocks = max((len(left) for left in left_out if left is not None), default=0)
    together = []
    for of_group in zip(*(entries for _, entries in ways), strict=True):
        values = {
            _key(way.name, array): _with_blocks(entry.values[array], blocks)
            for (way, _), entry in zip(ways, of_group, strict=True)
            for array in question.read
        }
        together.append(Entry(of_group[0].runs, values, of_group[0].own))
    return together


def _with_blocks(values: Values, blocks: int) -> Values:
    """The values, with so many blocks left out and the same spread: probe sets of few speakers have fewer blocks."""
    if values.left_out is None or len(values.left_out) == blocks:
        return values
    there, centre = len(values.left_out), values.left_out.mean(0)
    scale = math.sqrt((there - 1) / there * blocks / (blocks - 1))
    missing = np.zeros((blocks - there, *values.value.shape))
    return Values(values.value, centre + np.concatenate([scale * (values.left_out - centre), missing]))


def _key(way: str, array: str) -> str:
    return f"{way}|{array}"


def _by(way: str, seen: Seen) -> Seen:
    """What is shown by one way."""
    prefix = _key(way, "")
    arrays = {name.removeprefix(prefix): a for name, a in seen.arrays.items() if name.startswith(prefix)}
    return Seen(seen.runs, arrays, seen.own)
