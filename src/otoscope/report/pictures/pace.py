"""F6: how fast layers change, beside the losses."""

from __future__ import annotations

from statistics import fmean
from typing import Any

import altair as alt

from otoscope.report.curves import step_axis
from otoscope.report.pictures.picture import Picture, Scene
from otoscope.report.specs import Spec, to_spec, with_rows
from otoscope.report.text import plain
from otoscope.report.theme import CATEGORIES, CURVE_WIDTH

__all__ = ["paces"]

HEIGHT = 86
LOSSES = {"train_loss": "train", "dev_loss": "dev"}


def paces(scene: Scene) -> list[Picture]:
    """One chart a recogniser: the mean change of layers since the checkpoint before, and below it the losses."""
    pictures, empty = [], _spec(scene)
    for recogniser, runs in scene.recognisers():
        rows = [row for run in runs for row in _rows(scene, run)]
        changes = [row for row in rows if row["what"] == "change" and row["run"] == runs[0]]
        if not changes:
            continue
        most = max(changes, key=lambda row: row["value"])
        described = (
            f"Mean change of the layers of {recogniser} since the checkpoint before, by {scene.measure}, above its "
            f"losses. {runs[0]} changes most up to step {most['step']:,}, by {plain(most['value'])}, and by "
            f"{plain(changes[-1]['value'])} up to the last."
        )
        note = ("1 run" if len(runs) == 1 else f"a line a run, {len(runs)}") + "; loss: dev, dotted train"
        pictures.append(Picture(f"pace-{recogniser}", recogniser, note, described, with_rows(empty, rows)))
    return pictures


def _rows(scene: Scene, run: str) -> list[dict[str, Any]]:
    table = scene.payload["to_previous"].get(run, {}).get(scene.measure)
    about = scene.payload["runs"][run]
    rows = []
    for k, step in enumerate(about["steps"]):
        known = [line[k] for line in table[0] if line[k] is not None] if table else []
        if known:
            value = 1 - fmean(known) if scene.limit is None else fmean(known)
            rows.append({"run": run, "what": "change", "step": step, "value": round(value, 4)})
        for name, split in LOSSES.items():
            if about[name][k] is not None:
                rows.append({"run": run, "what": split, "step": step, "value": about[name][k]})
    return rows


def _spec(scene: Scene) -> Spec:
    x = alt.X("step:Q", title="training step", **step_axis(scene.steps))
    base = alt.Chart(alt.NamedData("rows"), width=CURVE_WIDTH, height=HEIGHT)
    told = [alt.Tooltip("run:N"), alt.Tooltip("step:Q"), alt.Tooltip("value:Q", format=".3f")]
    bare = alt.X("step:Q", title=None, **step_axis(scene.steps, labels=False))
    change = base.transform_filter("datum.what == 'change'").encode(
        x=bare, y=alt.Y("value:Q", title="change", axis=alt.Axis(tickCount=4)), detail="run:N", tooltip=told
    )
    loss = base.transform_filter("datum.what != 'change'").encode(
        x=x,
        y=alt.Y("value:Q", title="loss", axis=alt.Axis(tickCount=4)),
        detail="run:N",
        strokeDash=alt.StrokeDash(
            "what:N", scale=alt.Scale(domain=["dev", "train"], range=[[1, 0], [1, 2]]), legend=None
        ),
        tooltip=told,
    )
    above = alt.LayerChart(
        layer=[
            change.mark_line(strokeWidth=1.5, color=CATEGORIES[0]),
            change.mark_point(size=16, filled=True, opacity=1, color=CATEGORIES[0]),
        ]
    )
    below = loss.mark_line(strokeWidth=1.5, color=CATEGORIES[0])
    return to_spec(alt.vconcat(above, below, spacing=6))
