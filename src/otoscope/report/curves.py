"""Curves through training: each layer's similarity to a reference, error rates and losses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import altair as alt

from otoscope.report.matrices import tooltip
from otoscope.report.specs import Spec, to_spec, with_rows
from otoscope.report.theme import CATEGORIES, CURVE_HEIGHT, CURVE_WIDTH, MUTED, step_ticks, time_unit

__all__ = ["layer_spec", "score_spec", "step_axis"]

_THOUSANDS = "datum.value < 1000 ? datum.value : datum.value / 1000 + 'k'"


def step_axis(steps: Sequence[int], *, labels: bool = True) -> dict[str, Any]:
    """A symmetric logarithmic axis of training steps, with step 0 on it."""
    constant, ticks = step_ticks(steps)
    axis = alt.Axis(values=ticks, labelExpr=_THOUSANDS, grid=False, labels=labels)
    scale = alt.Scale(type="symlog", constant=constant, domain=[0, max(steps, default=1) or 1], nice=False)
    return {"scale": scale, "axis": axis}


def layer_spec(
    *, steps: Sequence[int], lowest: float, y_title: str, limit: float | None = None, intervals: bool = False
) -> Spec:
    """Similarity against training step, one line a layer, coloured by depth (dark is the input side).

    The dashed line is the mean null level. The specification comes without data; its records (see `with_rows`) hold
    step, layer, i (depth), value and null, and low and high with `intervals`. `steps` are all steps that the axis must
    reach. `limit` is the largest value of a distance, whose axis points down: what is alike stands at the top.
    """
    depth = alt.Color(
        "layer:N",
        sort=alt.EncodingSortField("i", op="min"),
        scale=alt.Scale(scheme=alt.SchemeParams(name="viridis", extent=[0.05, 0.9])),
        legend=alt.Legend(title="layer", symbolType="stroke", labelLimit=90, symbolLimit=0),
    )
    domain = [min(0.0, lowest), 1.0] if limit is None else [0.0, limit]
    axis = alt.Y("value:Q", title=y_title, scale=alt.Scale(domain=domain, nice=False, reverse=limit is not None))
    x = alt.X("step:Q", title="training step", **step_axis(steps))
    base = alt.Chart(alt.NamedData("rows")).encode(x=x)
    null = base.mark_line(strokeDash=[2, 3], strokeWidth=1.2, color=MUTED)
    null = null.encode(y=alt.Y("mean(null):Q", title=y_title))
    lines = base.mark_line(strokeWidth=1.6).encode(y=axis, color=depth)
    what = "similarity" if limit is None else "distance"
    told = tooltip("'layer': datum.layer, 'step': datum.step", what, "'not computed'", intervals=intervals)
    dots = base.mark_point(filled=True, opacity=1, size=16, tooltip=told)
    dots = dots.encode(y=axis, color=depth)
    return to_spec(alt.LayerChart(layer=[null, lines, dots], width=CURVE_WIDTH, height=CURVE_HEIGHT))


def score_spec(
    points: Sequence[dict[str, Any]],
    *,
    recognisers: Sequence[str],
    steps: Sequence[int],
    title: str,
    against: Literal["step", "time"],
    percent: bool,
    legend: bool = False,
) -> Spec:
    """An error rate or a loss against training step or time, one line a run and split.

    `points` hold run, recogniser, split, step, seconds and value. Colour tells recognisers apart, the dash tells
    the split. `steps` are the checkpoints' steps, which set the axis.
    """
    if against == "time":
        per_unit, unit = time_unit(max((p["seconds"] for p in points if p["seconds"] is not None), default=0.0))
        points = [{**p, "time": None if p["seconds"] is None else p["seconds"] / per_unit} for p in points]
        x = alt.X("time:Q", title=f"training time ({unit})", axis=alt.Axis(grid=False, tickCount=5))
    else:
        x = alt.X("step:Q", title="training step", **step_axis(steps))
    splits = ["dev", "test", "train"]
    form = ".1%" if percent else ".3f"
    colour = alt.Color(
        "recogniser:N",
        scale=alt.Scale(domain=list(recognisers), range=[CATEGORIES[k % 8] for k in range(len(recognisers))]),
        legend=alt.Legend(title="recogniser", symbolType="stroke") if legend else None,
    )
    dash = alt.StrokeDash(
        "split:N",
        scale=alt.Scale(domain=splits, range=[[1, 0], [5, 3], [1, 2]]),
        legend=alt.Legend(title="split") if legend else None,
    )
    tooltip = [
        alt.Tooltip("run:N"),
        alt.Tooltip("split:N"),
        alt.Tooltip("step:Q"),
        alt.Tooltip("seconds:Q", title="training seconds", format=",.0f"),
        alt.Tooltip("value:Q", title=title, format=form),
    ]
    axis = alt.Axis(format="%", tickCount=6) if percent else alt.Axis(tickCount=6)
    base = alt.Chart(alt.NamedData("rows")).encode(
        x=x, y=alt.Y("value:Q", title=title, axis=axis), color=colour, detail="run:N"
    )
    lines = base.mark_line(strokeWidth=1.6).encode(strokeDash=dash)
    dots = base.mark_point(filled=True, size=22).encode(
        tooltip=tooltip, opacity=alt.condition("datum.split == 'train'", alt.value(0), alt.value(1))
    )
    spec = to_spec(alt.LayerChart(layer=[lines, dots], width=CURVE_WIDTH, height=CURVE_HEIGHT))
    return with_rows(spec, points)
