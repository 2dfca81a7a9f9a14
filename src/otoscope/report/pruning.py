"""The word error rate against the number of blocks left out, by every way of choosing them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import altair as alt
import vl_convert

from otoscope.advice import Pruning
from otoscope.files import write_bytes
from otoscope.report.specs import Spec, grid, to_spec, with_rows
from otoscope.report.theme import CATEGORIES, MUTED

__all__ = ["pruning_spec", "write_pruning"]

WIDTH, HEIGHT = 420, 300

CHANCE = "by chance"
OTHERS = ("last", "first", "magnitude", CHANCE)
"""Ways that know nothing of similarity."""


def write_pruning(found: Pruning, folder: Path) -> list[Path]:
    """The figure as `pruning.svg` and `pruning.png`."""
    svg = vl_convert.vegalite_to_svg(grid([pruning_spec(found)], columns=1))
    return [
        write_bytes(folder / "pruning.svg", svg.encode()),
        write_bytes(folder / "pruning.png", vl_convert.svg_to_png(svg, scale=2)),
    ]


def pruning_spec(found: Pruning) -> Spec:
    """A line for each way from the whole encoder on; similarities solid with their intervals, other ways dashed.

    Random choices are dots, and their mean a line.
    """
    ways = [*found.measures, *OTHERS]
    rows = [row for way in ways for row in _rows(found, way)]
    most = max((row.count for row in found.rows), default=1)
    x = alt.X("count:Q", title="blocks left out", axis=alt.Axis(format="d", values=list(range(most + 1))))
    y = alt.Y("wer:Q", title="word error rate, %", scale=alt.Scale(zero=True))
    legend = alt.Legend(title="chosen by", symbolOpacity=1)
    colour = alt.Color("way:N", sort=ways, scale=alt.Scale(domain=ways, range=list(CATEGORIES)), legend=legend)
    dash = alt.StrokeDash(
        "kind:N", scale=alt.Scale(domain=["similarity", "other"], range=[[1, 0], [4, 3]]), legend=None
    )
    base = alt.Chart(alt.NamedData("rows"))
    means, draws = base.transform_filter("!datum.draw"), base.transform_filter("datum.draw")
    layers = [
        means.transform_filter("datum.kind == 'similarity' && isValid(datum.low)")
        .mark_rule(opacity=0.5, strokeWidth=1.5)
        .encode(x=x, y=alt.Y("low:Q"), y2="high:Q", color=colour),
        draws.mark_point(size=22, filled=True, opacity=0.45, color=MUTED).encode(x=x, y=y, color=colour),
        means.mark_line(strokeWidth=2).encode(x=x, y=y, color=colour, strokeDash=dash),
        means.mark_point(size=34, filled=True, opacity=1).encode(x=x, y=y, color=colour),
    ]
    title = f"{Path(found.recogniser).name} on {found.corpus}: {found.words} words"
    return with_rows(to_spec(alt.LayerChart(layer=layers, width=WIDTH, height=HEIGHT)), rows, title)


def _rows(found: Pruning, way: str) -> list[dict[str, Any]]:
    """The points of one way, the whole encoder among them."""
    kind = "similarity" if way in found.measures else "other"
    about: dict[str, Any] = {"way": way, "kind": kind, "draw": False}
    whole = found.whole
    rows = [about | {"count": 0, "wer": 100 * whole.value, "low": 100 * whole.low, "high": 100 * whole.high}]
    if way != CHANCE:
        own = [row for row in found.rows if row.way == way]
        rates = [(row.count, row.wer) for row in own]
        rows += [
            about | {"count": count, "wer": 100 * wer.value, "low": 100 * wer.low, "high": 100 * wer.high}
            for count, wer in rates
        ]
        return rows
    drawn: dict[int, list[float]] = {}
    for row in found.rows:
        if row.way.startswith("random"):
            drawn.setdefault(row.count, []).append(100 * row.wer.value)
            rows.append(about | {"count": row.count, "wer": 100 * row.wer.value, "draw": True})
    return rows + [about | {"count": count, "wer": sum(own) / len(own)} for count, own in drawn.items()]
