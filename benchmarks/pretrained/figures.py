"""Heatmaps and curves as SVG, in the report's own style."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import altair as alt
import vl_convert
from benchmarks.pretrained.records import Record

from otoscope.files import write_bytes
from otoscope.report.matrices import fill_matrix, matrix_rows, matrix_spec
from otoscope.report.specs import Spec, grid, to_spec
from otoscope.report.theme import CATEGORIES, CURVE_HEIGHT, CURVE_WIDTH


def short(names: Sequence[str]) -> list[str]:
    """Names of layers without the modules that hold all of them.

    >>> short(["model.encoder.conv2", "model.encoder.layers.0", "model.encoder.layers.1"])
    ['conv2', 'layers.0', 'layers.1']
    """
    parts = [name.split(".") for name in names]
    same = 0
    while all(len(p) > same + 1 for p in parts) and len({p[same] for p in parts}) == 1:
        same += 1
    return [".".join(p[same:]) for p in parts]


def heatmap(
    path: Path,
    one: Record,
    *,
    titles: tuple[str, str, str],
    mark_best: bool = False,
) -> None:
    """The heatmap of a comparison; `titles` are of the figure, the rows and the columns."""
    rows, columns = short(one["rows"]), short(one["columns"])
    table = [
        [[v if math.isfinite(v) else None for v in row] for row in one[kind]]
        for kind in ("value", "null", "low", "high")
    ]
    known = [v for row in table[0] for v in row if v is not None]
    cells = matrix_rows(table, rows, columns, [[""] * len(columns)] * len(rows), mark_best=mark_best)
    spec = matrix_spec(lowest=min(known), legend=True, intervals=True)
    title, row_title, column_title = titles
    _save(path, [fill_matrix(spec, cells, title=title, row_title=row_title, column_title=column_title)])


def curves(path: Path, records: Mapping[str, Record]) -> None:
    """CCA with phones and the probe's accuracy over depth, a line for each recogniser."""
    models = list(records)
    charts = []
    for what, title in (("cca", "held-out CCA with phones"), ("accuracy", "phone probe accuracy")):
        rows = [
            {"recogniser": model, "depth": i / (len(record[what]) - 1), "value": value}
            for model, record in records.items()
            for i, value in enumerate(record[what])
        ]
        base = alt.Chart(alt.Data(values=rows)).encode(
            x=alt.X("depth:Q", title="depth (0 front end, 1 last layer)", scale=alt.Scale(domain=[0, 1])),
            y=alt.Y("value:Q", title=title, scale=alt.Scale(zero=True)),
            color=alt.Color(
                "recogniser:N", sort=models, scale=alt.Scale(domain=models, range=list(CATEGORIES[: len(models)]))
            ),
        )
        layered = alt.LayerChart(
            layer=[base.mark_line(strokeWidth=2), base.mark_point(size=22, filled=True, opacity=1)],
            width=round(1.3 * CURVE_WIDTH),
            height=round(1.3 * CURVE_HEIGHT),
        )
        charts.append(to_spec(layered))
    _save(path, charts)


def _save(path: Path, charts: Sequence[Spec]) -> None:
    write_bytes(path, vl_convert.vegalite_to_svg(grid(charts, columns=2)).encode())
