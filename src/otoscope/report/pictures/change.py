"""F5: how far each layer is from its untrained state."""

from __future__ import annotations

from statistics import fmean
from typing import Any

import altair as alt

from otoscope.report.pictures.picture import Picture, Scene
from otoscope.report.specs import Spec, to_spec, with_rows
from otoscope.report.text import plain
from otoscope.report.theme import CATEGORIES, CURVE_HEIGHT, CURVE_WIDTH

__all__ = ["changes"]


MOST = "layer that changes most"
"""Where a finding's details say which layer it is about: its index in depth."""

Change = dict[str, list[tuple[str, float]]]
"""By layer: each run, and how much the layer changes in it."""


def changes(scene: Scene) -> list[Picture]:
    """One chart a recogniser: a bar a layer, the mean over seeds, and a dot for each seed."""
    pictures, empty = [], _spec(scene)
    for recogniser, runs in scene.recognisers():
        change = _changes(scene, runs)
        if not change:
            continue
        means = {layer: fmean(value for _, value in found) for layer, found in change.items()}
        finding = scene.answer(recogniser)
        most = max(means, key=means.__getitem__)
        if finding is not None and MOST in finding.details:
            most = list(means)[round(finding.details[MOST])]
        said = ", ".join(f"{layer} {plain(value)}" for layer, value in means.items())
        described = f"Change of each layer of {recogniser} from untrained to trained, by {scene.measure}: {said}."
        note = f"{runs[0].rpartition('/')[2]}" if len(runs) == 1 else f"mean of {len(runs)} runs, dots: each"
        spec = with_rows(empty, _rows(change, most))
        slanted = any(len(layer) > 3 for layer in means)
        for layer in spec["layer"]:
            layer["encoding"]["x"]["axis"]["labelAngle"] = -60 if slanted else 0
        pictures.append(Picture(f"change-{recogniser}", recogniser, f"{note}; most: {most}", described, spec))
    return pictures


def _changes(scene: Scene, runs: list[str]) -> Change:
    of: Change = {}
    for run in runs:
        table = scene.payload["to_final"].get(run, {}).get(scene.measure)
        for layer, line in zip(scene.payload["runs"][run]["labels"], table[0] if table else [], strict=False):
            if line[0] is not None:
                of.setdefault(layer, []).append((run, 1 - line[0] if scene.limit is None else line[0]))
    return of


def _rows(change: Change, most: str) -> list[dict[str, Any]]:
    return [
        {"layer": layer, "i": i, "run": run, "change": round(value, 4), "most": layer == most}
        for i, (layer, found) in enumerate(change.items())
        for run, value in found
    ]


def _spec(scene: Scene) -> Spec:
    title = "1 − similarity to untrained" if scene.limit is None else "distance to untrained"
    axis = alt.Axis(labelAngle=0, labelLimit=80, ticks=False)
    x = alt.X("layer:N", sort=alt.EncodingSortField("i", op="min"), title="layer", axis=axis)
    base = alt.Chart(alt.NamedData("rows")).encode(x=x)
    told = [alt.Tooltip("layer:N"), alt.Tooltip("run:N"), alt.Tooltip("change:Q", format=".3f")]
    colour = alt.condition("datum.most", alt.value(CATEGORIES[1]), alt.value(CATEGORIES[5]))
    bars = base.mark_bar().encode(
        y=alt.Y("mean(change):Q", title=title, stack=None),
        color=colour,
        detail="most:N",
        tooltip=["layer:N", "mean(change):Q"],
    )
    dots = base.mark_point(filled=True, size=22, color="#1b1d21", stroke="white", strokeWidth=0.8, opacity=1).encode(
        y="change:Q", tooltip=told
    )
    return to_spec(alt.LayerChart(layer=[bars, dots], width=CURVE_WIDTH, height=CURVE_HEIGHT))
