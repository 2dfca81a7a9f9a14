"""F6: how fast layers change, beside the losses and the learning rate."""

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

HEIGHTS = {"change": 76, "loss": 64, "learning rate": 40}
BESIDE = {"train_loss": "train", "dev_loss": "dev", "learning_rate": "rate"}


def paces(scene: Scene) -> list[Picture]:
    """One chart a recogniser: the mean change of layers since the checkpoint before, losses and learning rate below."""
    rates = any(rate is not None for run in scene.payload["runs"].values() for rate in run.get("learning_rate", ()))
    pictures, empty = [], _spec(scene, rates)
    for recogniser, runs in scene.recognisers():
        rows = [row for run in runs for row in _rows(scene, run)]
        changes = [row for row in rows if row["what"] == "change" and row["run"] == runs[0]]
        if not changes:
            continue
        most = max(changes, key=lambda row: row["value"])
        described = (
            f"Mean change of the layers of {recogniser} since the checkpoint before, by {scene.measure}, above its "
            f"losses and learning rate. {runs[0]} changes most up to step {most['step']:,}, by {plain(most['value'])}, "
            f"and by {plain(changes[-1]['value'])} up to the last."
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
        for name, what in BESIDE.items():
            # Files of before it was kept have no learning rate.
            if name in about and about[name][k] is not None:
                rows.append({"run": run, "what": what, "step": step, "value": about[name][k]})
    return rows


def _spec(scene: Scene, rates: bool) -> Spec:
    def panel(condition: str, title: str, *, last: bool = False) -> alt.Chart:
        steps = step_axis(scene.steps, labels=last)
        drawn: alt.Chart = (
            base.transform_filter(condition)
            .properties(height=HEIGHTS[title])
            .encode(
                x=alt.X("step:Q", title="training step" if last else None, **steps),
                y=alt.Y(
                    "value:Q",
                    title=title,
                    axis=alt.Axis(tickCount=3, format=".3~g" if title == "learning rate" else "~r"),
                ),
                detail="run:N",
                tooltip=[alt.Tooltip("run:N"), alt.Tooltip("step:Q"), alt.Tooltip("value:Q", format=".3~g")],
            )
        )
        return drawn

    base = alt.Chart(alt.NamedData("rows"), width=CURVE_WIDTH)
    change = panel("datum.what == 'change'", "change")
    loss = panel("datum.what == 'dev' || datum.what == 'train'", "loss", last=not rates)
    splits = alt.StrokeDash("what:N", scale=alt.Scale(domain=["dev", "train"], range=[[1, 0], [1, 2]]), legend=None)
    blue = CATEGORIES[0]
    lines, dots = change.mark_line(strokeWidth=1.5, color=blue), change.mark_point(size=16, filled=True, color=blue)
    panels = [
        alt.LayerChart(layer=[lines, dots.encode(opacity=alt.value(1))]),
        loss.mark_line(strokeWidth=1.5, color=blue).encode(strokeDash=splits),
    ]
    if rates:
        panels.append(panel("datum.what == 'rate'", "learning rate", last=True).mark_line(strokeWidth=1.5, color=blue))
    return to_spec(alt.vconcat(*panels, spacing=6))
