"""The picture that shows each finding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from otoscope.report.pictures.agreement import agreement
from otoscope.report.pictures.change import changes
from otoscope.report.pictures.depth import final_matrices
from otoscope.report.pictures.errors import scatters
from otoscope.report.pictures.matches import matches
from otoscope.report.pictures.pace import paces
from otoscope.report.pictures.picture import Draw, Picture, Scene
from otoscope.report.pictures.settling import settling

__all__ = ["INSTEAD_OF_FORESTS", "PICTURES", "Picture", "Scene", "pictures"]

PICTURES: Mapping[str, Draw] = {
    "F1": final_matrices,
    "F2": settling,
    "F3": final_matrices,
    "F4": final_matrices,
    "F5": changes,
    "F6": paces,
    "F7": matches,
    "F8": matches,
    "F9": scatters,
    "F10": agreement,
}
"""By the number of a chapter; findings without a picture of their own have their forest plot."""

INSTEAD_OF_FORESTS = frozenset({"F10"})
"""Chapters whose picture has every effect."""


def pictures(scene: Scene) -> Sequence[Picture]:
    """What shows the findings of a chapter."""
    draw = PICTURES.get(scene.chapter.number)
    return draw(scene) if draw else ()
