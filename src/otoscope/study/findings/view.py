"""Findings to look at: picked by question, recogniser or measure; as a table for notebook, terminal and pandas."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from typing import TYPE_CHECKING, Any, overload

from otoscope.errors import StudyError
from otoscope.study.findings.finding import Effect, Finding, Verdict

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Findings"]

COLUMNS = ("id", "finding", "of", "measure", "verdict", "effect", "interval", "counts above")


class Findings(Sequence[Finding]):
    """The findings of a study, in their order.

    A number or a slice picks by place, a text by id: `findings["F1"]` are all findings of that question. Shown in a
    notebook, or printed, they are a table with verdicts, effects and intervals.

    Arguments:
        findings: those of `find_all`, of `load_findings`, or any of them.

    >>> cnn, lstm = (Finding("F1", "depth hierarchy", "", of, "cka") for of in ("cnn", "lstm"))
    >>> Findings([cnn, lstm])["F1"].select(of="lstm")[0].verdict
    'not enough data'
    """

    def __init__(self, findings: Iterable[Finding] = ()) -> None:
        self._findings = tuple(findings)

    def __len__(self) -> int:
        return len(self._findings)

    def __iter__(self) -> Iterator[Finding]:
        return iter(self._findings)

    @overload
    def __getitem__(self, at: int) -> Finding: ...
    @overload
    def __getitem__(self, at: slice | str) -> Findings: ...
    def __getitem__(self, at: int | slice | str) -> Finding | Findings:
        """One by its place, several by a slice or by the id of their question. Raises StudyError for an unknown id."""
        if isinstance(at, int):
            return self._findings[at]
        if isinstance(at, slice):
            return Findings(self._findings[at])
        if at not in self.ids:
            raise StudyError(f"there is no finding {at!r} among these; there are {', '.join(self.ids) or 'none'}")
        return Findings(f for f in self if f.id == at)

    def __eq__(self, other: object) -> bool:
        return self._findings == other._findings if isinstance(other, Findings) else NotImplemented

    def __hash__(self) -> int:
        return hash(tuple((f.id, f.of, f.measure) for f in self))

    @property
    def ids(self) -> tuple[str, ...]:
        """The questions' ids, in order."""
        return tuple(dict.fromkeys(f.id for f in self))

    def select(self, *, of: str | None = None, measure: str | None = None, verdict: Verdict | None = None) -> Findings:
        """Those about one recogniser (or pair), by one measure, with one verdict: each where it is given."""
        return Findings(
            f for f in self if of in (None, f.of) and measure in (None, f.measure) and verdict in (None, f.verdict)
        )

    def holding(self) -> Findings:
        """Those that hold."""
        return self.select(verdict="holds")

    def to_frame(self) -> pd.DataFrame:
        """One row per finding: id, name, of, measure, verdict, reason, effect, low, high, least, p, corrected …

        `error_seeds` and `error_speech` are standard errors, `at_<baseline>` the effects in baselines and
        `beyond_<baseline>` how much larger the effect is. NaN for what is not known.
        """
        import pandas as pd  # half a second that only tables need

        return pd.DataFrame([_row(finding) for finding in self])

    def __str__(self) -> str:
        rows = [COLUMNS, *(_cells(finding) for finding in self)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)

    def __repr__(self) -> str:
        return f"<Findings: {len(self)}, of which {len(self.holding())} hold>"

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{column}</th>" for column in COLUMNS)
        rows = "".join(
            f'<tr title="{escape(finding.reason)}">'
            + "".join(f"<td>{escape(c)}</td>" for c in _cells(finding))
            + "</tr>"
            for finding in self
        )
        return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def _cells(finding: Finding) -> tuple[str, ...]:
    about = (finding.id, finding.name, finding.of, finding.measure, finding.verdict)
    effect = finding.effect
    if effect is None or not math.isfinite(effect.value):
        return (*about, "", "", "")
    span = f"[{effect.low:.2f}, {effect.high:.2f}]" if math.isfinite(effect.low) else ""
    return (*about, f"{effect.value:.2f}", span, f"{finding.least:g}")


def _row(finding: Finding) -> dict[str, Any]:
    effect = finding.effect or Effect(*[math.nan] * 8)
    return {
        **{name: getattr(finding, name) for name in ("id", "name", "of", "measure", "verdict", "reason")},
        "effect": effect.value,
        "low": effect.low,
        "high": effect.high,
        "least": finding.least,
        **{name: math.nan if (p := getattr(finding, name)) is None else p for name in ("p", "corrected")},
        "error_seeds": effect.error_seeds,
        "error_speech": effect.error_speech,
        **{f"at_{name}": baseline.value for name, baseline in finding.baselines.items()},
        **{f"beyond_{name}": beyond.value for name, beyond in finding.beyond.items()},
    }
