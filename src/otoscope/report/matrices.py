"""Layer × layer heatmaps: one specification, filled by the page's script and by the exported figures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt

from otoscope.report.specs import Spec, to_spec, with_rows
from otoscope.report.theme import MATRIX_SIDE, colour_scale, distance_scale

__all__ = ["BESIDE", "Table", "fill_matrix", "matrix_rows", "matrix_spec", "tooltip"]

BESIDE = ("value", "null", "low", "high")
"""What a table holds of each cell, in this order; the ends of the interval where the study asked for them."""

Table = Sequence[Sequence[Sequence[float | None]]]


def tooltip(place: str, value: str, missing: str, *, intervals: bool) -> alt.ExprRef:
    """What a mark tells when it is pointed at: where it is, its value, interval and null level."""
    interval = (
        "'95 % interval': isValid(datum.low) ? format(datum.low, '.3f') + ' to ' + format(datum.high, '.3f') : 'none'"
    )
    lines = [
        place,
        f"'{value}': isValid(datum.value) ? format(datum.value, '.3f') : {missing}",
        *([interval] if intervals else []),
        "'null level': isValid(datum.null) ? format(datum.null, '.3f') : 'not given'",
    ]
    return alt.ExprRef("{" + ", ".join(lines) + "}")


def matrix_rows(
    table: Table,
    rows: Sequence[str],
    columns: Sequence[str],
    reasons: Sequence[Sequence[str]],
    *,
    mark_best: bool = False,
    distance: bool = False,
) -> list[dict[str, Any]]:
    """The cells of one heatmap as records; `mark_best` marks the most alike of each row, the smallest distance."""
    cells = []
    for i, (row, line) in enumerate(zip(rows, table[0], strict=True)):
        known = [v for v in line if v is not None]
        best = line.index((min if distance else max)(known)) if known and mark_best else -1
        for j, column in enumerate(columns):
            cell = {"i": i, "j": j, "layer_x": row, "layer_y": column}
            values = {name: part[i][j] for name, part in zip(BESIDE, table, strict=False)}
            cells.append({**cell, **values, "reason": reasons[i][j], "best": j == best})
    return cells


def matrix_spec(*, lowest: float, legend: bool = False, limit: float | None = None, intervals: bool = False) -> Spec:
    """A heatmap with the input side at the lower left; grey cells with a cross were not computed.

    The specification comes without data, for `fill_matrix` or the page's script to fill. `lowest` is the lowest
    similarity of the whole study, which fixes the colours for all its heatmaps; `limit` the largest value of a
    distance, whose colours run the other way, so that what is alike looks alike.
    """
    domain, colours = colour_scale(lowest) if limit is None else distance_scale(limit)
    columns = alt.X(
        "layer_y:N",
        title="layer",
        sort=alt.EncodingSortField("j", op="min"),
        axis=alt.Axis(labelAngle=0, labelLimit=80, ticks=False, domain=False),
    )
    rows = alt.Y(
        "layer_x:N",
        title="layer",
        sort=alt.EncodingSortField("i", op="min", order="descending"),
        axis=alt.Axis(labelLimit=80, ticks=False, domain=False),
    )
    what = "similarity" if limit is None else "distance"
    ticks = [0, 0.25, 0.5, 0.75, 1] if limit is None else [limit * k / 4 for k in range(5)]
    bar = alt.Legend(title=what, gradientLength=MATRIX_SIDE, values=ticks, format=".2f")
    known = alt.Color(
        "value:Q",
        scale=alt.Scale(domain=domain, range=colours, clamp=True, interpolate="lab"),
        legend=bar if legend else None,
    )
    # No layer filters its rows: Vega-Lite can only keep one order of the layers where all see the same data.
    base = alt.Chart(alt.NamedData("rows")).encode(x=columns, y=rows)
    is_known = "isValid(datum.value)"
    # The tooltip names the reason; the grey of an unknown value is set in `theme.CONFIG`.
    place = "'row': datum.layer_x, 'column': datum.layer_y"
    told = tooltip(place, what, "'not computed: ' + datum.reason", intervals=intervals)
    tiles = base.mark_rect(invalid="show", tooltip=told).encode(color=known)
    crosses = base.mark_text(fontSize=11, tooltip=None, color="#6b6b6b").encode(
        text=alt.condition(is_known, alt.value(""), alt.value("×"))
    )
    best = base.mark_point(size=26, filled=True, fill="white", stroke="black", strokeWidth=1, tooltip=None).encode(
        opacity=alt.condition("datum.best", alt.value(1), alt.value(0))
    )
    return to_spec(alt.LayerChart(layer=[tiles, crosses, best], width=MATRIX_SIDE, height=MATRIX_SIDE))


def fill_matrix(
    spec: Spec, cells: Sequence[dict[str, Any]], *, title: str | list[str], row_title: str, column_title: str
) -> Spec:
    """A copy of `matrix_spec` with its cells and titles; the page's script does the same."""
    filled = with_rows(spec, cells, title)
    # Whole pixels for each cell: a fraction would let the page show through as lines between them.
    filled["width"], filled["height"] = (_side(len({cell[k] for cell in cells})) for k in ("j", "i"))
    slanted = any(len(cell["layer_y"]) > 3 for cell in cells)
    for layer in filled["layer"]:
        layer["encoding"]["y"]["title"], layer["encoding"]["x"]["title"] = row_title, column_title
        layer["encoding"]["x"]["axis"]["labelAngle"] = -60 if slanted else 0
    return filled


def _side(layers: int) -> int:
    return layers * round(MATRIX_SIDE / layers) if layers else MATRIX_SIDE
