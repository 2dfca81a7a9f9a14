"""The report's figures as files: one SVG and one PNG each, from the page's own specifications."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import altair as alt
import vl_convert

from otoscope.report.curves import layer_chart, score_chart
from otoscope.report.matrices import matrix_chart
from otoscope.report.payload import Payload, curve_points, default_pairs, default_runs, matrix_cells
from otoscope.report.theme import CONFIG

__all__ = ["write_atomically", "write_figures"]

AnyChart = alt.Chart | alt.LayerChart | alt.ConcatChart
COLUMNS = 3
CURVES = {"to_final": "similarity to final state", "to_previous": "similarity to previous checkpoint"}


def write_figures(folder: Path, payload: Payload, scores: Sequence[dict[str, Any]]) -> list[Path]:
    """Write every figure below `folder` and return the paths, SVG first."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, chart in _charts(payload, scores):
        spec = chart.configure(**CONFIG).properties(background="white").to_dict()
        svg = vl_convert.vegalite_to_svg(spec)
        stem = re.sub(r"[^\w.-]+", "_", name)
        written.append(write_atomically(folder / f"{stem}.svg", svg.encode()))
        written.append(write_atomically(folder / f"{stem}.png", vl_convert.svg_to_png(svg, scale=2)))
    return written


def write_atomically(path: Path, content: bytes) -> Path:
    """Write a file so that a reader sees either the old one or the whole new one."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_bytes(content)
        os.replace(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    return path


def _charts(payload: Payload, scores: Sequence[dict[str, Any]]) -> Iterator[tuple[str, alt.ConcatChart]]:
    names = [r["name"] for r in payload["recognisers"]]
    for quantity, title, percent in SCORES:
        points = [p for p in scores if p["quantity"] == quantity]
        if points:
            both = [
                score_chart(points, recognisers=names, title=title, against=x, percent=percent, legend=True)
                for x in ("step", "time")
            ]
            yield quantity, _row(both)
    runs, about = list(payload["runs"]), payload["runs"]
    first = default_runs(payload)
    for measure in payload["measures"]:
        final = {run: payload["within"].get(run, {}).get(str(about[run]["steps"][-1]), {}) for run in runs}
        yield (
            f"within-{measure}",
            _row(
                _matrix(payload, final[run].get(measure), measure, run, run, [f"{run}, {measure}", _at(about[run])])
                for run in runs
            ),
        )
        for kind, y_title in CURVES.items():
            charts = [
                layer_chart(
                    curve_points(payload, kind, run, measure),
                    steps=about[run]["steps"],
                    lowest=payload["lowest"],
                    title=f"{run}, {measure}",
                    y_title=y_title,
                )
                for run in runs
                if run in payload[kind]
            ]
            if charts:
                yield f"{kind}-{measure}", _row(charts)
        pairs = [
            _matrix(
                payload,
                pair["final"].get(measure),
                measure,
                pair["x"],
                pair["y"],
                f"{pair['x']} and {pair['y']}, {measure}",
                best=True,
            )
            for pair in default_pairs(payload, first)
            if "final" in pair
        ]
        if pairs:
            yield f"across-{measure}", _row(pairs)
        yield f"baselines-{measure}", _row(_baselines(payload, measure, first))


SCORES = (("wer", "word error rate", True), ("cer", "character error rate", True), ("loss", "CTC loss", False))


def _baselines(payload: Payload, measure: str, runs: Sequence[str]) -> Iterator[AnyChart]:
    for run in runs:
        steps = payload["runs"][run]["steps"]
        for kind, step, title in (
            ("within", steps[-1], "trained"),
            ("within", steps[0], "untrained"),
            ("shuffled", steps[-1], "trained, utterances shuffled"),
        ):
            table = payload[kind].get(run, {}).get(str(step), {}).get(measure)
            yield _matrix(payload, table, measure, run, run, [f"{run}, {measure}", f"{title} (step {step:,})"])


def _matrix(
    payload: Payload,
    table: Sequence[Any] | None,
    measure: str,
    run_x: str,
    run_y: str,
    title: str | list[str],
    *,
    best: bool = False,
) -> alt.LayerChart:
    of = payload["runs"]
    return matrix_chart(
        matrix_cells(payload, table, measure, run_x, run_y, mark_best=best),
        lowest=payload["lowest"],
        title=title,
        row_title=f"{of[run_x]['recogniser']} layer",
        column_title=f"{of[run_y]['recogniser']} layer",
        legend=True,
    )


def _at(run: dict[str, Any]) -> str:
    wer = next((v for v in reversed(run["test_wer"]) if v is not None), None)
    return f"step {run['steps'][-1]:,}" + (f", test WER {wer:.1%}" if wer is not None else "")


def _row(charts: Any) -> alt.ConcatChart:
    return alt.concat(*charts, columns=COLUMNS, spacing=24).resolve_scale(color="independent", x="independent")
