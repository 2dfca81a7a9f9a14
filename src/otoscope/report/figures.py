"""The report's figures as files: one SVG and one PNG each, from the page's own specifications."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import vl_convert

from otoscope.files import write_bytes
from otoscope.report.content import ContentSection
from otoscope.report.curves import layer_spec, score_spec
from otoscope.report.findings import FindingsSection
from otoscope.report.forest import KEY as FOREST_KEY
from otoscope.report.matrices import fill_matrix, matrix_spec
from otoscope.report.payload import Payload, curve_points, default_pairs, default_runs, matrix_cells
from otoscope.report.pictures import Picture
from otoscope.report.specs import Spec, grid, with_rows
from otoscope.report.text import rate

__all__ = ["curve_specs", "write_figures"]

COLUMNS = 3
AXES: tuple[Literal["step", "time"], ...] = ("step", "time")
SCORES = (
    ("wer", "word error rate", True),
    ("cer", "character error rate", True),
    ("loss", "CTC loss (nats an utterance)", False),
)
CURVES = {"to_final": "to final state", "to_previous": "to previous checkpoint"}


def write_figures(
    folder: Path,
    payload: Payload,
    scores: Sequence[dict[str, Any]],
    findings: FindingsSection | None = None,
    content: ContentSection | None = None,
) -> list[Path]:
    """Write every figure below `folder` and return the paths, SVG first."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, charts in (*_of_findings(findings), *_of_content(content), *_figures(payload, scores)):
        svg = vl_convert.vegalite_to_svg(grid(charts, columns=COLUMNS))
        stem = re.sub(r"[^\w.-]+", "_", name)
        written.append(write_bytes(folder / f"{stem}.svg", svg.encode()))
        written.append(write_bytes(folder / f"{stem}.png", vl_convert.svg_to_png(svg, scale=2)))
    return written


def _of_findings(section: FindingsSection | None) -> Iterator[tuple[str, list[Spec]]]:
    """The forest plots and the pictures of each chapter."""
    if not section:
        return
    measure = section.measure
    for shown in section.chapters:
        number = shown.chapter.number
        if shown.forests:
            forests = shown.forests.values()
            yield f"{number}-forest", [_titled(p, f"{p.title}, {measure}", FOREST_KEY) for p in forests]
        if shown.pictures:
            yield number, [_titled(p, f"{p.title}, {measure}", p.note) for p in shown.pictures]


def _of_content(section: ContentSection | None) -> Iterator[tuple[str, list[Spec]]]:
    """The curves over depth of all labels, and depth × training of each."""
    if section:
        yield "content", [_titled(p, f"{p.title} {p.note}") for p in section.profiles]
        for title, several in section.training:
            yield f"content-training-{title}", [_titled(p, f"{p.title}: {title}") for p in several]


def _titled(picture: Picture, *lines: str) -> Spec:
    return {**picture.spec, "title": {"text": lines[0], "subtitle": list(lines[1:])}}


def _figures(payload: Payload, scores: Sequence[dict[str, Any]]) -> Iterator[tuple[str, list[Spec]]]:
    """Each figure's name and its charts."""
    names, runs = [r["name"] for r in payload["recognisers"]], payload["runs"]
    steps = sorted({step for run in runs.values() for step in run["steps"]})
    for quantity, title, percent in SCORES:
        points = [p for p in scores if p["quantity"] == quantity]
        about: dict[str, Any] = {"recognisers": names, "steps": steps, "title": title, "percent": percent}
        if points:
            yield quantity, [score_spec(points, against=x, legend=True, **about) for x in AXES]
    for measure in payload["measures"]:
        limit = payload["distances"].get(measure)
        matrix = matrix_spec(lowest=payload["lowest"], legend=True, limit=limit)
        curves = curve_specs(payload, steps, limit)
        # Every run by the measure that the study goes by; the first seeds by the others, or drawing takes minutes.
        drawn = list(runs) if measure == payload["measures"][0] else default_runs(payload)
        yield (
            f"within-{measure}",
            [
                _matrix(matrix, payload, _table(payload, "within", run, -1, measure), measure, run, run, _at(runs[run]))
                for run in drawn
            ],
        )
        for kind, spec in curves.items():
            shown = [run for run in drawn if run in payload[kind]]
            if shown:
                yield (
                    f"{kind}-{measure}",
                    [with_rows(spec, curve_points(payload, kind, run, measure), f"{run}, {measure}") for run in shown],
                )
        pairs = [pair for pair in default_pairs(payload, default_runs(payload)) if "final" in pair]
        if pairs:
            yield (
                f"across-{measure}",
                [
                    _matrix(
                        matrix, payload, p["final"][measure], measure, p["x"], p["y"], "final checkpoints", best=True
                    )
                    for p in pairs
                ],
            )
        yield (
            f"baselines-{measure}",
            [
                _matrix(matrix, payload, _table(payload, kind, run, k, measure), measure, run, run, what)
                for run in default_runs(payload)
                for kind, k, what in BASELINES
            ],
        )


def curve_specs(payload: Payload, steps: Sequence[int], limit: float | None) -> dict[str, Spec]:
    """The empty charts of layers through training, for similarities or for a distance of at most `limit`."""
    what = "similarity" if limit is None else "distance"
    about: dict[str, Any] = {"steps": steps, "lowest": payload["lowest"], "limit": limit}
    intervals = bool(payload["intervals"])
    return {kind: layer_spec(y_title=f"{what} {y}", intervals=intervals, **about) for kind, y in CURVES.items()}


BASELINES = (
    ("within", -1, "trained"),
    ("within", 0, "untrained"),
    ("shuffled", -1, "trained, utterances shuffled"),
)


def _table(payload: Payload, kind: str, run: str, k: int, measure: str) -> Sequence[Any] | None:
    at = payload[kind].get(run, {}).get(str(payload["runs"][run]["steps"][k]), {})
    table: Sequence[Any] | None = at.get(measure)
    return table


def _matrix(
    spec: Spec,
    payload: Payload,
    table: Sequence[Any] | None,
    measure: str,
    run_x: str,
    run_y: str,
    subtitle: str,
    *,
    best: bool = False,
) -> Spec:
    of = payload["runs"]
    names = run_x if run_x == run_y else f"{run_x} and {run_y}"
    return fill_matrix(
        spec,
        matrix_cells(payload, table, measure, run_x, run_y, mark_best=best),
        title=[f"{names}, {measure}", subtitle],
        row_title=f"{of[run_x]['recogniser']} layer",
        column_title=f"{of[run_y]['recogniser']} layer",
    )


def _at(run: dict[str, Any]) -> str:
    wer = next((v for v in reversed(run["test_wer"]) if v is not None), None)
    return f"step {run['steps'][-1]:,}" + (f", test WER {rate(wer)}" if wer is not None else "")
