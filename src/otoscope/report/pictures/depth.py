"""F1, F3 and F4: every two layers of a recogniser at its final checkpoint, and the stretch that is a block."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from otoscope.report.matrices import fill_matrix
from otoscope.report.payload import matrix_cells
from otoscope.report.pictures.picture import Picture, Scene, first_runs
from otoscope.report.specs import Spec
from otoscope.report.text import plain

__all__ = ["final_matrices", "with_stretch"]

FIRST, LAST = "first layer", "last layer"
"""Where a finding's details say which stretch of layers it is about: their indices in depth."""


def final_matrices(scene: Scene) -> list[Picture]:
    """One matrix a recogniser, of its first seed; where a finding's details name a stretch of layers, outlined."""
    pictures = []
    for recogniser, runs in scene.recognisers():
        run = runs[0]
        table = scene.payload["within"].get(run, {}).get(str(scene.payload["runs"][run]["steps"][-1]), {})
        if scene.measure not in table:
            continue
        spec = _matrix(scene, table[scene.measure], run)
        key, note = f"final-{recogniser}", first_runs(runs)
        described = (
            f"Every two layers of {run} at its final checkpoint, by {scene.measure}. {_apart(scene, table, run)}"
        )
        finding = scene.answer(recogniser)
        if finding is not None and {FIRST, LAST} <= finding.details.keys():
            first, last = round(finding.details[FIRST]), round(finding.details[LAST])
            labels = scene.payload["runs"][run]["labels"]
            holds = finding.verdict == "holds"
            spec = with_stretch(spec, first, last, len(labels), dashed=not holds)
            key = f"stretch-{recogniser}"
            said = f"{'outlined' if holds else f'dashed ({finding.verdict})'}: {labels[first]} to {labels[last]}"
            note, described = f"{note}; {said}", f"{described} {said}."
        pictures.append(Picture(key, recogniser, note, described, spec))
    return pictures


def with_stretch(spec: Spec, first: int, last: int, layers: int, *, dashed: bool = False) -> Spec:
    """A filled matrix with an outline round the cells of layers `first` to `last`."""
    side = spec["width"] / layers
    box = {
        "x": {"value": first * side},
        "x2": {"value": (last + 1) * side},
        "y": {"value": (layers - last - 1) * side},
        "y2": {"value": (layers - first) * side},
    }
    lines = [
        {
            "data": {"values": [{}]},
            "mark": {"type": "rect", "fillOpacity": 0, "stroke": colour, "strokeWidth": width, "tooltip": None}
            | ({"strokeDash": [6, 5]} if dashed else {}),
            "encoding": box,
        }
        for colour, width in (("#000000", 4.5), ("#ffffff", 2))
    ]
    return {**spec, "layer": [*spec["layer"], *lines]}


def _matrix(scene: Scene, table: Sequence[Any], run: str) -> Spec:
    name = f"{scene.payload['runs'][run]['recogniser']} layer"
    cells = matrix_cells(scene.payload, table, scene.measure, run, run)
    return fill_matrix(scene.matrix, cells, title="", row_title=name, column_title=name)


def _apart(scene: Scene, table: dict[str, Sequence[Any]], run: str) -> str:
    """The mean by distance in depth, in words."""
    values = table[scene.measure][0]
    layers = range(len(values))
    means = []
    for distance in layers[1:]:
        known = [
            values[i][i + distance] for i in layers[: len(values) - distance] if values[i][i + distance] is not None
        ]
        if known:
            means.append(f"{plain(sum(known) / len(known))} at {distance}")
    return f"Mean by distance in depth: {', '.join(means)}."
