"""Forest plots: the effect of one question in whatever it was put to, with intervals, seeds and baselines."""

from __future__ import annotations

import math
from typing import Any

import altair as alt

from otoscope.report.claims import Asked, span
from otoscope.report.specs import Spec, to_spec, with_rows
from otoscope.report.theme import CATEGORIES
from otoscope.study.findings import Effect, Finding
from otoscope.study.findings.question import RANDOM_ORDER

__all__ = ["KEY", "forest_described", "forest_spec"]

WIDTH = 250
EFFECT, BASELINE = CATEGORIES[0], CATEGORIES[7]
HOLLOW = {"untrained": "circle", "shuffled": "diamond", RANDOM_ORDER: "square"}
"""Of baselines."""

KEY = (
    "● effect with its interval, | each seed alone; hollow: ○ untrained, ◇ shuffled, □ in a random order; dashed: what "
    "counts begins here"
)
"""What the marks mean, for figures that stand alone."""


def forest_spec(asked: Asked) -> Spec:
    """A dot and whisker for each answer, hollow ones for its baselines, ticks for its seeds, a line at `least`.

    An interval that reaches far beyond all effects is cut at the edge, where an arrow says so.
    """
    names = ["effect", *asked.baselines]
    low, high = _domain(asked)
    rows = [row for f in asked.told if f.effect is not None for row in _rows(f, f.effect, low, high)]
    order = [f.of for f in asked.told]
    place = alt.YOffset("place:N", sort=names, scale=alt.Scale(domain=names, paddingOuter=0.35))
    y = alt.Y("of:N", title=None, sort=order, axis=alt.Axis(labelLimit=130, ticks=False, domain=False, grid=False))
    scale = alt.Scale(domain=[low, high], nice=False, zero=False)
    axis = alt.Axis(tickCount=5, format=".2~f")
    bare = alt.Chart(alt.NamedData("rows"))
    base = bare.encode(y=y, yOffset=place)
    told = [alt.Tooltip("of:N", title="in"), alt.Tooltip("what:N"), alt.Tooltip("told:N", title="effect")]
    x = alt.X("value:Q", title="effect", scale=scale, axis=axis)
    kind = alt.Color("group:N", scale=alt.Scale(domain=["effect", "baseline"], range=[EFFECT, BASELINE]), legend=None)

    def only(condition: str) -> Any:
        return base.transform_filter(condition)

    least = bare.mark_rule(strokeDash=[4, 3], color=CATEGORIES[1], tooltip=None)
    layers = [
        least.encode(x=alt.X("least:Q", aggregate="min")),
        only("isValid(datum.low)").mark_rule(strokeWidth=1.5).encode(x=alt.X("low:Q"), x2="high:Q", color=kind),
        _arrows(base, "cut_low", low, "triangle-left", kind),
        _arrows(base, "cut_high", high, "triangle-right", kind),
        only("datum.what == 'seed'")
        .mark_tick(thickness=1.5, size=9, opacity=0.65, color=EFFECT)
        .encode(x=x, tooltip=told),
        only("datum.group == 'baseline'")
        .mark_point(size=42, strokeWidth=1.5, filled=False, color=BASELINE)
        .encode(
            x=x,
            tooltip=told,
            shape=alt.Shape("place:N", scale=alt.Scale(domain=list(HOLLOW), range=list(HOLLOW.values())), legend=None),
        ),
        only("datum.group == 'effect' && datum.what == 'effect'")
        .mark_point(size=62, filled=True, opacity=1, color=EFFECT)
        .encode(x=x, tooltip=told),
    ]
    height = len(order) * (18 + 10 * len(names))
    return with_rows(to_spec(alt.LayerChart(layer=layers, width=WIDTH, height=height)), rows)


def forest_described(asked: Asked) -> str:
    """What a forest plot shows, for those who do not see it."""
    lines = [f"{f.of} {span(f.effect)}, {f.verdict}" for f in asked.told if f.effect is not None]
    return f"Forest plot of {asked.id}, {asked.name}; what counts begins at {asked.least:g}. " + "; ".join(lines) + "."


def _arrows(base: alt.Chart, cut: str, at: float, shape: str, kind: alt.Color) -> alt.Chart:
    drawn: alt.Chart = (
        base.transform_filter(f"datum.{cut}")
        .mark_point(shape=shape, filled=True, size=40, opacity=1)
        .encode(x=alt.datum(at, type="quantitative"), color=kind)
    )
    return drawn


def _rows(finding: Finding, effect: Effect, low: float, high: float) -> list[dict[str, Any]]:
    about: dict[str, Any] = {"of": finding.of, "least": finding.least}
    rows = [about | _row("effect", "effect", "effect", effect, low, high)]
    rows += [about | _row(name, "baseline", name, at, low, high) for name, at in finding.baselines.items()]
    if len(finding.by_run) > 1:
        seed = about | {"place": "effect", "group": "effect", "what": "seed"}
        rows += [seed | {"value": value, "told": f"{value:.3f} in {run}"} for run, value in finding.by_run.items()]
    return [row for row in rows if math.isfinite(row["value"])]


def _row(place: str, group: str, what: str, effect: Effect, low: float, high: float) -> dict[str, Any]:
    row: dict[str, Any] = {"place": place, "group": group, "what": what, "value": effect.value, "told": span(effect)}
    if math.isfinite(effect.low):
        row |= {"low": max(low, effect.low), "high": min(high, effect.high)}
        row |= {"cut_low": effect.low < low, "cut_high": effect.high > high}
    return row


def _domain(asked: Asked) -> tuple[float, float]:
    """All effects and what counts, and of the intervals what stands no farther out than these lie apart."""
    effects = [e for f in asked.told for e in (f.effect, *f.baselines.values()) if e is not None]
    points = [e.value for e in effects] + [v for f in asked.told for v in f.by_run.values()]
    points = [v for v in points if math.isfinite(v)] + [asked.least, 0.0]
    left, right = min(points), max(points)
    room = max(right - left, 0.1)
    ends = [v for e in effects for v in (e.low, e.high) if math.isfinite(v)]
    left, right = max(left - room, min([left, *ends])), min(right + room, max([right, *ends]))
    return left - 0.04 * room, right + 0.04 * room
