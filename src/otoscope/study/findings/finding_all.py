"""Every question put to a study, corrected for asking so often."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from otoscope.errors import StudyError
from otoscope.study.findings.convergence import BOTTOM_UP
from otoscope.study.findings.depth_hierarchy import CLOSE_LAYERS, DEPTH_HIERARCHY, ROBINSON
from otoscope.study.findings.evidence import Entry, Runs, Values, gather_values, recogniser_of
from otoscope.study.findings.finding import Finding
from otoscope.study.findings.question import Question, Scope, verdict_of
from otoscope.study.findings.reading import READERS
from otoscope.study.results import Results

__all__ = ["QUESTIONS", "corrected", "find_all"]

QUESTIONS: tuple[Question, ...] = (DEPTH_HIERARCHY, ROBINSON, CLOSE_LAYERS, BOTTOM_UP)
"""All that is asked."""


def find_all(
    results: Results, *, questions: Sequence[Question] = QUESTIONS, measures: Sequence[str] | None = None
) -> list[Finding]:
    """Puts every question to a study, by every measure.

    Arguments:
        results: of a study.
        questions: what is asked.
        measures: by which similarities (default: all of the study).

    Returns:
        The findings by question, by what it was put to and by measure, their verdicts corrected for asking so often.
    """
    reading = _Reading(results)
    found = [
        _answer(question, of, groups, measure, reading)
        for question in questions
        for of, groups in _groups(results.runs, question.scope)
        for measure in (measures if measures is not None else results.measures)
    ]
    return corrected(found)


def corrected(found: Sequence[Finding]) -> list[Finding]:
    """The findings with p-values corrected by Holm's step-down method (1979), and verdicts that go by these.

    The chance that any "holds" among all findings by one measure is wrong is then at most 5 %: what a study claims, it
    claims by one measure, and the others say how much hangs on the choice. Verdicts of "does not hold" are not
    corrected: they stand each for itself.
    """
    p_of: dict[int, float] = {}
    for measure in dict.fromkeys(finding.measure for finding in found):
        mine = [(f.p, f) for f in found if f.measure == measure and f.p is not None and f.p == f.p]
        so_far = 0.0
        for i, (p, finding) in enumerate(sorted(mine, key=lambda pair: pair[0])):
            so_far = max(so_far, min(1.0, (len(mine) - i) * p))
            p_of[id(finding)] = so_far
    return [_judged(finding, p_of.get(id(finding))) for finding in found]


def _judged(finding: Finding, p: float | None) -> Finding:
    if p is None or finding.effect is None:
        return finding
    verdict, reason = verdict_of(finding.effect, finding.least, p)
    return replace(finding, corrected=p, verdict=verdict, reason=reason)


Group = tuple[Runs, bool]
"""Runs that are looked at together, and whether they are what the question is about."""


def _groups(runs: Sequence[str], scope: Scope) -> Iterator[tuple[str, list[Group]]]:
    """What a question is put to: its name, and the runs that tell of it."""
    of: dict[str, list[str]] = {}
    for run in runs:
        of.setdefault(recogniser_of(run), []).append(run)
    if scope == "study":
        yield "all recognisers", [((run,), True) for run in runs]
    elif scope == "pair":
        for x, y in itertools.combinations(of, 2):
            # Where the first two runs are of one seed, so are the next: each run is in one pair.
            yield f"{x} × {y}", [(pair, True) for pair in zip(of[x], of[y], strict=False)]
    else:
        for recogniser, own in of.items():
            if scope == "seeds":
                yield recogniser, [(pair, True) for pair in itertools.combinations(own, 2)]
            else:
                others = [run for run in runs if run not in own and scope == "against others"]
                yield recogniser, [((run,), run in own) for run in (*own, *others)]


def _enough(groups: Sequence[Group]) -> str:
    return ""


def _no_pairs(groups: Sequence[Group]) -> str:
    return "" if groups else "one seed, and agreement takes at least two: train with more seeds"


def _no_others(groups: Sequence[Group]) -> str:
    return "" if any(not own for _, own in groups) else "there is no other recogniser in this study to compare with"


LACKING: Mapping[Scope, Callable[[Sequence[Group]], str]] = {
    "recogniser": _enough,
    "study": _enough,
    "pair": _enough,
    "seeds": _no_pairs,
    "against others": _no_others,
}
"""Why there is nothing to put a question to; "" where there is."""


class _Reading:
    """Arrays of one study, each read once."""

    def __init__(self, results: Results) -> None:
        self.results = results
        self.parts = [results.without(block) for block in range(results.blocks)]
        self.known: dict[tuple[Runs, str, str], Values] = {}

    def __call__(self, runs: Runs, name: str, measure: str) -> Values:
        key = runs, name, measure
        if key not in self.known:
            self.known[key] = gather_values(self.results, self.parts, runs, READERS[name], measure)
        return self.known[key]


def _answer(question: Question, of: str, groups: Sequence[Group], measure: str, reading: _Reading) -> Finding:
    arrays = question.arrays()
    asked = Finding(question.id, question.name, question.claim, of, measure)
    if lacking := LACKING[question.scope](groups):
        return replace(asked, reason=lacking)
    try:
        entries = [
            Entry(runs, {as_: reading(runs, name, measure) for as_, name in arrays.items()}, own)
            for runs, own in groups
        ]
    except StudyError as error:  # the study did not compare what the question asks of
        return replace(asked, reason=str(error))
    return question.answer(of, measure, entries)
