"""F2: each layer on its way to its final state, with the step at which it has settled."""

from __future__ import annotations

import math

import altair as alt
import numpy as np

from otoscope.report.curves import layer_spec
from otoscope.report.payload import curve_points
from otoscope.report.pictures.picture import Picture, Scene, first_runs
from otoscope.report.specs import Spec, with_rows
from otoscope.study.findings.convergence import SHARE, settled

__all__ = ["settling"]


def settling(scene: Scene) -> list[Picture]:
    """One chart a recogniser, of its first seed: the curves to the final state, a diamond where a layer has settled."""
    pictures, empty = [], _spec(scene)
    for recogniser, runs in scene.recognisers():
        run = runs[0]
        points = curve_points(scene.payload, "to_final", run, scene.measure)
        if not points:
            continue
        when = _when(scene, run)
        last = scene.payload["runs"][run]["steps"][-1]
        rows = [p | when.get(p["layer"], {}) if p["step"] == last else p for p in points]
        said = ", ".join(f"{layer} at step {w['settled']:,.0f}" for layer, w in when.items())
        described = f"Similarity of each layer of {run} to its final state, by {scene.measure}. "
        described += f"{SHARE:.0%} of the way is gone by {said}." if said else "No layer has a way to go."
        spec = with_rows(empty, rows)
        pictures.append(Picture(f"settling-{recogniser}", recogniser, first_runs(runs), described, spec))
    return pictures


def _when(scene: Scene, run: str) -> dict[str, dict[str, float]]:
    """Of each layer that settles: the step, and its similarity to the final state then."""
    values = np.array(scene.payload["to_final"][run][scene.measure][0], dtype=float)
    steps = np.array(scene.payload["runs"][run]["steps"], dtype=float)
    if not np.isfinite(values).all() or len(steps) < 2:
        return {}
    at = values[:, 0] + SHARE * (values[:, -1] - values[:, 0])
    alike = values if scene.limit is None else 1 - values  # as findings read a distance
    found = zip(scene.payload["runs"][run]["labels"], settled(alike, steps), at, strict=True)
    return {
        layer: {"settled": round(float(step), 1), "settled_at": round(float(value), 4)}
        for layer, step, value in found
        if math.isfinite(step)
    }


def _spec(scene: Scene) -> Spec:
    what = "similarity" if scene.limit is None else "distance"
    spec = layer_spec(
        steps=scene.steps,
        lowest=scene.payload["lowest"],
        y_title=f"{what} to final state",
        limit=scene.limit,
        intervals=bool(scene.payload["intervals"]),
    )
    lines = spec["layer"][1]["encoding"]
    mark = {"type": "point", "shape": "diamond", "size": 70, "filled": True, "stroke": "black", "strokeWidth": 0.7}
    tooltip = alt.ExprRef(
        "{'layer': datum.layer, 'settled at step': isValid(datum.settled) ? format(datum.settled, ',.0f') : ''}"
    )
    diamonds = {
        "mark": {**mark, "opacity": 1, "tooltip": tooltip.to_dict()},
        "encoding": {
            "x": {**lines["x"], "field": "settled"},
            "y": {**lines["y"], "field": "settled_at"},
            "color": lines["color"],
        },
    }
    return {**spec, "layer": [*spec["layer"], diamonds]}
