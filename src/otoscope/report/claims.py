"""A study's findings as the page tells them: chapters by number, questions, verdicts, and what hangs on the measure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from otoscope.report.text import plain
from otoscope.study.findings import Effect, Finding, Verdict

__all__ = [
    "CHIPS",
    "ESTIMATORS",
    "Asked",
    "Chapter",
    "chapters",
    "counted",
    "hanging",
    "open_questions",
    "p_text",
    "span",
]

CHIPS: Mapping[Verdict, str] = {"holds": "✓", "does not hold": "✗", "not enough data": "?", "not applicable": "–"}
"""A sign beside each verdict's words, so that colour is never all that tells them apart."""

ESTIMATORS: Mapping[str, str] = {"cka-biased": "biased", "paper-cca": "flattened", "paper-cka": "flattened"}
"""What is wrong with measures that are there for comparison with earlier figures."""


@dataclass(frozen=True)
class Asked:
    """One question: its answers by the study's first measure, and by all measures of whatever it was put to."""

    id: str
    name: str
    claim: str
    effect_is: str
    least: float
    answers: tuple[Finding, ...]
    by_measure: Mapping[str, Mapping[str, Finding]]

    @property
    def measures(self) -> tuple[str, ...]:
        """By which it was answered."""
        return tuple(dict.fromkeys(measure for of in self.by_measure.values() for measure in of))

    @property
    def told(self) -> tuple[Finding, ...]:
        """Answers with an effect, whatever the verdict."""
        return tuple(f for f in self.answers if f.effect is not None and math.isfinite(f.effect.value))

    @property
    def of_pairs(self) -> bool:
        """Whether it was put to runs two by two."""
        return any(" × " in name for f in self.told for name in f.by_run)

    @property
    def baselines(self) -> tuple[str, ...]:
        """What the effect is compared with."""
        return tuple(dict.fromkeys(name for f in self.told for name in f.baselines))

    @property
    def beyond(self) -> tuple[str, ...]:
        """The baselines that it is told how far the effect is beyond: not the random order, where there is none."""
        return tuple(dict.fromkeys(name for f in self.told for name in f.beyond))


@dataclass(frozen=True)
class Chapter:
    """The questions that share a number, such as F1, F1-robinson and F1-close."""

    number: str
    questions: tuple[Asked, ...]

    @property
    def title(self) -> str:
        """That of its first question, up to what is said of which."""
        return self.questions[0].name.partition(":")[0]

    @property
    def answers(self) -> tuple[Finding, ...]:
        """Of all its questions, by the first measure."""
        return tuple(f for question in self.questions for f in question.answers)

    @property
    def told(self) -> tuple[Finding, ...]:
        """Its answers with an effect."""
        return tuple(f for question in self.questions for f in question.told)

    @property
    def definitions(self) -> tuple[tuple[str, float], ...]:
        """What the effects are, and from where they count; each once."""
        return tuple(dict.fromkeys((q.effect_is, q.least) for q in self.questions if q.effect_is))

    @property
    def counts(self) -> dict[Verdict, int]:
        """How many answers have each verdict."""
        count = Counter(f.verdict for f in self.answers)
        return {verdict: count[verdict] for verdict in CHIPS if count[verdict]}


def chapters(findings: Sequence[Finding], measure: str) -> list[Chapter]:
    """The findings by number, in the order in which they were asked; the study claims what it claims by `measure`.

    >>> found = [Finding(id_, "depth hierarchy", "", "cnn", "cka") for id_ in ("F1", "F2", "F1-close")]
    >>> [(chapter.number, len(chapter.questions)) for chapter in chapters(found, "cka")]
    [('F1', 2), ('F2', 1)]
    """
    by_number: dict[str, dict[str, list[Finding]]] = {}
    claimed = {finding.id for finding in findings if finding.measure == measure}
    for finding in findings:
        if finding.id in claimed:
            number = finding.id.partition("-")[0]
            by_number.setdefault(number, {}).setdefault(finding.id, []).append(finding)
    return [
        Chapter(number, tuple(_asked(of_one, measure) for of_one in asked.values()))
        for number, asked in by_number.items()
    ]


def _asked(findings: Sequence[Finding], measure: str) -> Asked:
    by_measure: dict[str, dict[str, Finding]] = {}
    for finding in findings:
        by_measure.setdefault(finding.of, {})[finding.measure] = finding
    # A question that could not be put to one recogniser says nothing there of its effect.
    answers = tuple(f for f in findings if f.measure == measure)
    full = next((f for f in findings if f.effect_is), answers[0])
    return Asked(full.id, full.name, full.claim, full.effect_is, full.least, answers, by_measure)


def counted(found: Sequence[Chapter]) -> str:
    """How many verdicts of each kind the first measure gives, in a sentence."""
    count = Counter(f.verdict for chapter in found for f in chapter.answers)
    told: Mapping[Verdict, str] = {
        "holds": "hold",
        "does not hold": "do not hold",
        "not enough data": "lack data",
        "not applicable": "do not apply",
    }
    parts = [f"{count[verdict]} {words}" for verdict, words in told.items() if count[verdict]]
    return f"Of {count.total()} findings by {found[0].answers[0].measure}: " + ", ".join(parts) + "."


@dataclass(frozen=True)
class Hanging:
    """Where one measure says otherwise than the study's first.

    `only` holds by it and does not by the first, `beside` holds by it where the first has no answer, `denied` does not
    hold by it and does by the first.
    """

    measure: str
    estimator: str
    only: tuple[str, ...]
    beside: tuple[str, ...]
    denied: tuple[str, ...]


def hanging(found: Sequence[Chapter]) -> list[Hanging]:
    """What hangs on the measure, for each measure but the first."""
    asked = [question for chapter in found for question in chapter.questions]
    first = asked[0].answers[0].measure
    return [
        _against(asked, first, measure)
        for measure in dict.fromkeys(m for question in asked for m in question.measures if m != first)
    ]


def _against(asked: Sequence[Asked], first: str, measure: str) -> Hanging:
    pairs = [
        (f"{question.id} {of}", by[measure].verdict, by[first].verdict)
        for question in asked
        for of, by in question.by_measure.items()
        if first in by and measure in by
    ]
    return Hanging(
        measure,
        ESTIMATORS.get(measure, ""),
        only=tuple(name for name, here, there in pairs if (here, there) == ("holds", "does not hold")),
        beside=tuple(name for name, here, there in pairs if here == "holds" and there.startswith("not ")),
        denied=tuple(name for name, here, there in pairs if (here, there) == ("does not hold", "holds")),
    )


def open_questions(found: Sequence[Chapter]) -> list[Finding]:
    """What the first measure could not answer, or could not be asked."""
    left = ("not enough data", "not applicable")
    return [f for chapter in found for f in chapter.answers if f.verdict in left]


def span(effect: Effect) -> str:
    """An effect with its interval.

    >>> span(Effect(0.5, 0.25, 0.75, 0.95, 0.01, 0.99, 0.1, 0.05))
    '0.50 [0.25, 0.75]'
    """
    if not math.isfinite(effect.low):
        return f"{plain(effect.value)} [no interval]"
    return f"{plain(effect.value)} [{plain(effect.low)}, {plain(effect.high)}]"


def p_text(p: float | None) -> str:
    """A p-value as it is printed.

    >>> p_text(0.0312), p_text(0.00004), p_text(None)
    ('0.031', '< 0.001', '–')
    """
    if p is None or not math.isfinite(p):
        return "–"
    return "< 0.001" if p < 0.001 else f"{p:.3f}"
