"""Every question put to a study, corrected for asking so often."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

from otoscope.errors import StudyError
from otoscope.study.findings.architectures import ACROSS_ARCHITECTURES
from otoscope.study.findings.block_structure import BLOCK_STRUCTURE
from otoscope.study.findings.convergence import BOTTOM_UP
from otoscope.study.findings.depth_hierarchy import CLOSE_LAYERS, DEPTH_HIERARCHY, ROBINSON
from otoscope.study.findings.error_rate import ERRORS_AND_DISTANCE_TO_FINAL, ERRORS_AND_NEIGHBOURS
from otoscope.study.findings.error_rate_by_speech import ERRORS_AND_AGREEMENT
from otoscope.study.findings.finding import Finding
from otoscope.study.findings.groups import LACKING, Group, Reading, groups_of
from otoscope.study.findings.irregularity import IRREGULARITY, IRREGULARITY_AGAINST_OTHERS
from otoscope.study.findings.most_changed import MOST_CHANGED
from otoscope.study.findings.pace import PACE_AND_LOSS, PACE_AND_RATE
from otoscope.study.findings.question import Question, judged
from otoscope.study.findings.robustness import robust
from otoscope.study.findings.seeds import LAYER_MATCHING, SAME_DEPTH
from otoscope.study.findings.view import Findings
from otoscope.study.results import Results

__all__ = ["QUESTIONS", "corrected", "find_all", "questions_of"]

QUESTIONS: tuple[Question, ...] = (
    DEPTH_HIERARCHY,
    ROBINSON,
    CLOSE_LAYERS,
    BOTTOM_UP,
    IRREGULARITY,
    IRREGULARITY_AGAINST_OTHERS,
    BLOCK_STRUCTURE,
    MOST_CHANGED,
    PACE_AND_LOSS,
    PACE_AND_RATE,
    SAME_DEPTH,
    LAYER_MATCHING,
    ACROSS_ARCHITECTURES,
    ERRORS_AND_DISTANCE_TO_FINAL,
    ERRORS_AND_NEIGHBOURS,
    ERRORS_AND_AGREEMENT,
)
"""All that is asked; F10 asks about these."""


def questions_of(ids: Collection[str]) -> list[Question]:
    """The questions under some of the ids that a study names.

    >>> [question.id for question in questions_of(["F1"])]
    ['F1', 'F1-robinson', 'F1-close']
    """
    return [question for question in QUESTIONS if question.id.partition("-")[0] in ids]


def find_all(
    results: Results,
    *,
    questions: Sequence[Question] = QUESTIONS,
    measures: Sequence[str] | None = None,
    robustness: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Findings:
    """Puts every question to a study, by every measure.

    Arguments:
        results: of a study.
        questions: what is asked.
        measures: by which similarities (default: all of the study).
        robustness: whether to ask in the end if the findings by the first measure are robust (F10).
        progress: called with how many questions have been put, and how many there are.

    Returns:
        The findings by question, by what it was put to and by measure, their verdicts corrected for asking so often.
    """
    reading = Reading(results)
    found: list[Finding] = []
    for done, question in enumerate(questions):
        if progress:
            progress(done, len(questions) + robustness)
        found += [
            _answer(question, of, groups, measure, reading)
            for of, groups in groups_of(results.runs, question.scope)
            for measure in (measures if measures is not None else results.measures)
        ]
    found = corrected(found)
    # F10 is a family of its own: it asks nothing new of the layers, and must not make the others' bar higher.
    return Findings([*found, *(corrected(robust(results, found, questions)) if robustness else ())])


def corrected(found: Sequence[Finding]) -> list[Finding]:
    """The findings with p-values corrected for their number, and verdicts that go by these.

    Formula: p₍ᵢ₎ becomes min over j ≥ i of m p₍ⱼ₎/j, of the m findings by one measure in order of p (Benjamini &
    Hochberg 1995). Of all that a study says holds by one measure, at most 5 % are then wrong on average. To bound the
    chance of a single wrong one (Holm 1979) would take so small a p of sixty findings that three seeds could hardly
    ever say anything. What a study claims, it claims by one measure, and the others say how much hangs on the choice:
    they are not corrected for each other. Verdicts of "does not hold" stand each for itself.
    """
    p_of: dict[int, float] = {}
    for measure in dict.fromkeys(finding.measure for finding in found):
        mine = [(f.p, f) for f in found if f.measure == measure and f.p is not None and f.p == f.p]
        smallest = 1.0
        for rank, (p, finding) in reversed(list(enumerate(sorted(mine, key=lambda pair: pair[0]), start=1))):
            smallest = min(smallest, len(mine) * p / rank)
            p_of[id(finding)] = smallest
    return [_judged(finding, p_of.get(id(finding))) for finding in found]


def _judged(finding: Finding, p: float | None) -> Finding:
    if p is None or finding.effect is None:
        return finding
    return replace(judged(finding, p), corrected=p)


def _answer(question: Question, of: str, groups: Sequence[Group], measure: str, reading: Reading) -> Finding:
    asked = Finding(question.id, question.name, question.claim, of, measure)
    if lacking := LACKING[question.scope](groups):
        return replace(asked, reason=lacking)
    try:
        entries = reading.entries(question, groups, measure)
    except StudyError as error:  # the study did not compare what the question asks of
        return replace(asked, reason=str(error))
    return question.answer(of, measure, entries)
