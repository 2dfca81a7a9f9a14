"""F7 and F8: every layer of one run with every layer of another, and which is most alike."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from otoscope.report.matrices import fill_matrix
from otoscope.report.payload import matrix_cells
from otoscope.report.pictures.picture import Picture, Scene

__all__ = ["matches"]


def matches(scene: Scene) -> list[Picture]:
    """One matrix for whatever the chapter has an effect of: two seeds of a recogniser, or two recognisers."""
    told = dict.fromkeys(f.of for f in scene.chapter.told)
    pairs = dict(_first_pairs(scene))
    return [_picture(scene, of, pairs[of]) for of in told if of in pairs]


def _first_pairs(scene: Scene) -> Iterator[tuple[str, dict[str, Any]]]:
    """The first pair of runs of each recogniser, and of each two recognisers, compared in their final states."""
    found = set()
    for pair in scene.payload["across"]:
        x, y = (scene.payload["runs"][pair[side]]["recogniser"] for side in "xy")
        of = x if x == y else f"{x} × {y}"
        if of not in found and scene.measure in pair.get("final", {}):
            found.add(of)
            yield of, pair


def _picture(scene: Scene, of: str, pair: dict[str, Any]) -> Picture:
    x, y = pair["x"], pair["y"]
    runs = scene.payload["runs"]
    cells = matrix_cells(scene.payload, pair["final"][scene.measure], scene.measure, x, y, mark_best=True)
    spec = fill_matrix(
        scene.matrix,
        cells,
        title="",
        row_title=f"{runs[x]['recogniser']} layer",
        column_title=f"{runs[y]['recogniser']} layer",
    )
    best = "; ".join(f"{cell['layer_x']} with {cell['layer_y']}" for cell in cells if cell["best"])
    described = f"Layers of {x} and {y} in their final states, by {scene.measure}. Most alike: {best}."
    seeds = " and ".join(dict.fromkeys(run.rpartition("/")[2] for run in (x, y)))
    return Picture(f"matches-{of}", of, f"{seeds}; dots: the best of each row", described, spec)
