"""Every question put to every recogniser of a study, corrected for asking so often."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from otoscope.study.findings.convergence import BOTTOM_UP
from otoscope.study.findings.depth_hierarchy import CLOSE_LAYERS, DEPTH_HIERARCHY, ROBINSON
from otoscope.study.findings.evidence import Evidence, gather_values
from otoscope.study.findings.finding import Finding
from otoscope.study.findings.question import Question, verdict_of
from otoscope.study.findings.reading import readers
from otoscope.study.results import Results

__all__ = ["QUESTIONS", "corrected", "find_all", "runs_of"]

QUESTIONS: tuple[Question, ...] = (DEPTH_HIERARCHY, ROBINSON, CLOSE_LAYERS, BOTTOM_UP)
"""What is asked of every recogniser."""


def find_all(
    results: Results, *, questions: Sequence[Question] = QUESTIONS, measures: Sequence[str] | None = None
) -> list[Finding]:
    """Puts every question to every recogniser, by every measure.

    Arguments:
        results: of a study.
        questions: what is asked.
        measures: by which similarities (default: all of the study).

    Returns:
        The findings by question, recogniser and measure, their verdicts corrected for asking so often.
    """
    found = []
    for measure in measures if measures is not None else results.measures:
        for recogniser, runs in runs_of(results).items():
            kept: dict[str, Evidence] = {}
            for question in questions:
                evidence = _read(results, runs, measure, question.read, kept)
                baselines = {
                    name: _read(results, runs, measure, arrays, kept) for name, arrays in question.baselines.items()
                }
                found.append(question.answer(recogniser, measure, evidence, baselines))
    order = {question.id: i for i, question in enumerate(questions)}
    return corrected(sorted(found, key=lambda finding: order[finding.id]))


def corrected(found: Sequence[Finding]) -> list[Finding]:
    """The findings with p-values corrected by Holm's step-down method (1979), and verdicts that go by these.

    The chance that any "holds" of all these is wrong is then at most 5 %. Verdicts of "does not hold" are not corrected:
    they stand each for itself.
    """
    tested = sorted((f for f in found if f.p is not None and f.p == f.p), key=lambda f: f.p or 0.0)
    so_far, p_of = 0.0, dict[int, float]()
    for i, finding in enumerate(tested):
        so_far = max(so_far, min(1.0, (len(tested) - i) * (finding.p or 0.0)))
        p_of[id(finding)] = so_far
    judged = []
    for finding in found:
        p = p_of.get(id(finding))
        if p is None or finding.effect is None:
            judged.append(finding)
            continue
        verdict, reason = verdict_of(finding.effect, finding.least, p)
        judged.append(replace(finding, corrected=p, verdict=verdict, reason=reason))
    return judged


def runs_of(results: Results) -> dict[str, list[str]]:
    """Recogniser → its runs, one for each seed."""
    found: dict[str, list[str]] = {}
    for run in results.runs:
        found.setdefault(run.partition("/")[0], []).append(run)
    return found


def _read(
    results: Results, runs: Sequence[str], measure: str, arrays: Mapping[str, str], kept: dict[str, Evidence]
) -> Evidence:
    """The arrays that are asked for, each read once."""
    by = readers(measure)
    for name in dict.fromkeys(arrays.values()):
        if name not in kept:
            kept[name] = gather_values(results, runs, {name: by[name]})
    return {run: {as_: kept[name][run][name] for as_, name in arrays.items()} for run in runs}
