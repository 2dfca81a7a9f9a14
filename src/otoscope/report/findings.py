"""The findings section of the page: chapters with their forest plots and pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from otoscope.report.claims import Asked, Chapter, Hanging, chapters, counted, hanging, open_questions
from otoscope.report.forest import forest_described, forest_spec
from otoscope.report.payload import Payload
from otoscope.report.pictures import INSTEAD_OF_FORESTS, Picture, Scene, pictures
from otoscope.study.findings import Finding
from otoscope.study.results import Results

__all__ = ["FindingsSection", "Shown", "findings_section"]


@dataclass(frozen=True)
class Shown:
    """A chapter with what shows it: a forest plot by the id of each question that has effects, and pictures.

    `instead` is true where the picture has every effect, so that forest plots would only say the same again.
    """

    chapter: Chapter
    instead: bool
    forests: Mapping[str, Picture]
    pictures: Sequence[Picture]


@dataclass(frozen=True)
class FindingsSection:
    """All that the page says of findings. `measure` is the study's first, by which it claims what it claims."""

    measure: str
    counted: str
    chapters: Sequence[Shown]
    hanging: Sequence[Hanging]
    open: Sequence[Finding]

    @property
    def drawn(self) -> list[Picture]:
        """Every chart, once."""
        every = (p for shown in self.chapters for p in (*shown.forests.values(), *shown.pictures))
        return list({picture.key: picture for picture in every}.values())


def findings_section(findings: Sequence[Finding], results: Results, payload: Payload) -> FindingsSection | None:
    """What the page says of a study's findings; None where there are none by its first measure."""
    measure = results.measures[0] if results.measures else ""
    found = chapters(findings, measure)
    if not found:
        return None
    least = {question.id: question.least for chapter in found for question in chapter.questions}
    shown = []
    for chapter in found:
        scene = Scene(chapter, measure, payload, results, least)
        instead = chapter.number in INSTEAD_OF_FORESTS
        asked = () if instead else chapter.questions
        forests = {question.id: _forest(question) for question in asked if question.told}
        shown.append(Shown(chapter, instead, forests, _described(pictures(scene))))
    return FindingsSection(measure, counted(found), shown, hanging(found), open_questions(found))


def _forest(asked: Asked) -> Picture:
    spec, described = forest_spec(asked), forest_described(asked)
    return Picture(f"forest-{asked.id}", f"{asked.id}: {asked.name}", "", described, {**spec, "description": described})


def _described(drawn: Sequence[Picture]) -> list[Picture]:
    return [replace(p, spec={**p.spec, "description": p.described}) for p in drawn]
