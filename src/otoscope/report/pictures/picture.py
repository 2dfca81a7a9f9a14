"""A picture that shows a finding."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from otoscope.report.claims import Chapter
from otoscope.report.matrices import matrix_spec
from otoscope.report.payload import Payload
from otoscope.report.specs import Spec
from otoscope.study.findings import Finding
from otoscope.study.results import Results

__all__ = ["Picture", "Scene", "first_runs"]


@dataclass(frozen=True)
class Picture:
    """One chart. `key` is its name in the page and the same for charts that are the same, `title` and `note` stand
    over it, `described` tells what it shows to those who do not see it.
    """

    key: str
    title: str
    note: str
    described: str
    spec: Spec
    wide: bool = False


@dataclass(frozen=True)
class Scene:
    """What pictures of a chapter are drawn from: its answers by the study's first measure, and the study's numbers.

    `least` is the smallest effect that counts, by the id of each question of the study.
    """

    chapter: Chapter
    measure: str
    payload: Payload
    results: Results
    least: Mapping[str, float]

    @property
    def limit(self) -> float | None:
        """The largest value of a measure that is a distance."""
        limit: float | None = self.payload["distances"].get(self.measure)
        return limit

    @cached_property
    def matrix(self) -> Spec:
        """An empty heatmap."""
        return matrix_spec(lowest=self.payload["lowest"], limit=self.limit, intervals=bool(self.payload["intervals"]))

    @property
    def steps(self) -> list[int]:
        """The training steps that an axis must reach."""
        return sorted({step for run in self.payload["runs"].values() for step in run["steps"]})

    def recognisers(self) -> list[tuple[str, list[str]]]:
        """Each recogniser that the chapter has an effect of, with its runs."""
        told = {f.of for f in self.chapter.told}
        return [(r["name"], list(r["runs"])) for r in self.payload["recognisers"] if r["name"] in told]

    def answer(self, of: str) -> Finding | None:
        """The chapter's first answer about a recogniser, or a pair of them, that has an effect."""
        return next((f for f in self.chapter.told if f.of == of), None)


Draw = Callable[[Scene], Sequence[Picture]]


def first_runs(runs: Sequence[str]) -> str:
    """What is said of a picture of the first seed alone.

    >>> first_runs(["cnn/seed0", "cnn/seed1"])
    'seed0, the first of 2 runs'
    """
    seed = runs[0].rpartition("/")[2]
    return seed if len(runs) == 1 else f"{seed}, the first of {len(runs)} runs"
