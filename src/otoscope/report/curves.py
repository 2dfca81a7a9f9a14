"""Curves through training: each layer's similarity to a reference, error rates and losses."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import altair as alt

from otoscope.report.theme import CATEGORIES, PLOT, step_ticks, time_unit

__all__ = ["layer_chart", "score_chart"]

_LAYER_TOOLTIP = """{
  'layer': datum.layer,
  'step': datum.step,
  'similarity': format(datum.value, '.3f'),
  'null level': isValid(datum.null) ? format(datum.null, '.3f') : 'not given'
}"""


def _step_axis(steps: Iterable[int]) -> dict[str, Any]:
    constant, ticks = step_ticks(steps)
    axis = alt.Axis(values=ticks, format="~s", grid=False)
    return {"scale": alt.Scale(type="symlog", constant=constant, nice=False), "axis": axis}


def layer_chart(
    points: Sequence[dict[str, Any]],
    *,
    steps: Iterable[int],
    lowest: float,
    title: str | list[str] = "",
    y_title: str = "similarity",
) -> alt.Chart:
    """Similarity against training step, one line a layer, coloured by depth (dark is the input side).

    `points` hold step, layer, i (depth), value and null; `steps` are all steps the axis must reach.
    """
    depth = alt.Color(
        "layer:N",
        sort=alt.EncodingSortField("i", op="min"),
        scale=alt.Scale(scheme=alt.SchemeParams(name="viridis", extent=[0.05, 0.9])),
        legend=alt.Legend(title="layer", symbolType="stroke", labelLimit=90, symbolLimit=0),
    )
    return (
        alt.Chart(alt.Data(values=list(points)))
        .mark_line(point={"size": 14}, strokeWidth=1.6, tooltip=alt.ExprRef(_LAYER_TOOLTIP))
        .encode(
            x=alt.X("step:Q", title="training step", **_step_axis(steps)),
            y=alt.Y("value:Q", title=y_title, scale=alt.Scale(domain=[min(0.0, lowest), 1], nice=False)),
            color=depth,
        )
        .properties(width=PLOT, height=int(PLOT * 0.8), title=title)
    )


def score_chart(
    points: Sequence[dict[str, Any]],
    *,
    recognisers: Sequence[str],
    title: str,
    against: Literal["step", "time"],
    percent: bool,
    legend: bool = False,
) -> alt.Chart:
    """An error rate or a loss against training step or time, one line a run and split.

    `points` hold run, recogniser, split, step, seconds and value. Colour tells recognisers apart, the dash tells
    the split.
    """
    if against == "time":
        per_unit, unit = time_unit(max((p["seconds"] for p in points if p["seconds"] is not None), default=0.0))
        points = [{**p, "time": None if p["seconds"] is None else p["seconds"] / per_unit} for p in points]
        x = alt.X("time:Q", title=f"training time ({unit})", axis=alt.Axis(grid=False, tickCount=5))
    else:
        x = alt.X("step:Q", title="training step", **_step_axis(p["step"] for p in points))
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
    base = alt.Chart(alt.Data(values=list(points))).encode(
        x=x, y=alt.Y("value:Q", title=title, axis=axis), color=colour, detail="run:N"
    )
    lines = base.mark_line(strokeWidth=1.6).encode(strokeDash=dash)
    dots = base.mark_point(filled=True, size=22).encode(
        tooltip=tooltip, opacity=alt.condition("datum.split == 'train'", alt.value(0), alt.value(1))
    )
    return alt.layer(lines, dots).properties(width=PLOT, height=int(PLOT * 0.72))
