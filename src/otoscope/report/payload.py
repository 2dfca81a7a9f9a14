"""The study's numbers as the page carries them: compact lists, from which its script fills the figures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import xarray as xr

from otoscope.measures import registry
from otoscope.report.matrices import BESIDE, matrix_rows
from otoscope.study.results import Results

__all__ = ["build_payload", "curve_points", "default_pairs", "default_runs", "matrix_cells", "shown_step"]

NOT_COMPARED = "the study did not compare this pair"
Payload = dict[str, Any]


def build_payload(results: Results) -> Payload:
    """Every matrix and curve of a study as nested lists under run, measure and step.

    Tables hold values, null levels and, where the study has intervals, their low and high ends. Values and ends are
    rounded to four decimals, null levels to three; None stands for what was not computed. `distances` maps measures
    where less is more alike to the largest value in the study.
    """
    measures = results.measures
    payload: Payload = {
        "measures": list(measures),
        "runs": {run: _run(results, run) for run in results.runs},
        "recognisers": _recognisers(results.runs),
        "reasons": _reasons(results),
        "lowest": _lowest(results),
        "distances": _distances(results),
        "intervals": results.intervals,
        "within": {},
        "shuffled": {},
        "across": [],
        "to_final": {},
        "to_previous": {},
    }
    for square, read in (("within", results.within), ("shuffled", results.shuffled)):
        for run, step, _, _ in results.compared(square):
            at = payload[square].setdefault(run, {})
            at[str(step)] = {m: _table(read(run, step, m)) for m in measures}
    references: tuple[Literal["to_final", "to_previous"], ...] = ("to_final", "to_previous")
    for kind in references:
        for run in dict.fromkeys(run for run, *_ in results.compared(kind)):
            payload[kind][run] = {m: _table(results.curve(kind, run, m)) for m in measures}
    states: tuple[tuple[Literal["first", "final"], int], ...] = (("first", 0), ("final", -1))
    pairs: dict[tuple[str, str], Payload] = {}
    for x, step_x, y, step_y in results.compared("across"):
        for when, at in states:
            if (step_x, step_y) == (results.steps(x)[at], results.steps(y)[at]):
                tables = {m: _table(results.across(x, y, m, when)) for m in measures}
                pairs.setdefault((x, y), {"x": x, "y": y})[when] = tables
    payload["across"] = list(pairs.values())
    return payload


def matrix_cells(
    payload: Payload, table: Sequence[Any] | None, measure: str, run_x: str, run_y: str, *, mark_best: bool = False
) -> list[dict[str, Any]]:
    """One heatmap's cells from a table (None where the whole comparison is missing)."""
    rows, columns = payload["runs"][run_x]["labels"], payload["runs"][run_y]["labels"]
    why = payload["reasons"].get(measure, {})
    of_x, of_y = why.get(run_x, {}), why.get(run_y, {})
    reasons = [[of_x.get(r) or of_y.get(c) or NOT_COMPARED for c in columns] for r in rows]
    empty = [[None] * len(columns) for _ in rows]
    known = table if table is not None else (empty, empty)
    distance = measure in payload["distances"]
    return matrix_rows(known, rows, columns, reasons, mark_best=mark_best, distance=distance)


def curve_points(payload: Payload, kind: str, run: str, measure: str) -> list[dict[str, Any]]:
    """One run's curves of a kind as records; values that were not computed are left out (and listed in the page)."""
    if run not in payload[kind]:
        return []
    table = payload[kind][run][measure]
    about = payload["runs"][run]
    return [
        {"layer": layer, "i": i, "step": step, **{name: part[i][k] for name, part in zip(BESIDE, table, strict=False)}}
        for i, layer in enumerate(about["labels"])
        for k, step in enumerate(about["steps"])
        if table[0][i][k] is not None
    ]


def default_runs(payload: Payload) -> list[str]:
    """The first seed of every recogniser: what the page and the exported figures show first."""
    return [str(r["runs"][0]) for r in payload["recognisers"]]


def default_pairs(payload: Payload, runs: Sequence[str]) -> list[Payload]:
    """The compared pairs between `runs`, and those of each of them with other seeds of its own recogniser."""
    of = {run: about["recogniser"] for run, about in payload["runs"].items()}
    return [
        pair
        for pair in payload["across"]
        if (pair["x"] in runs and pair["y"] in runs)
        or (of[pair["x"]] == of[pair["y"]] and (pair["x"] in runs or pair["y"] in runs))
    ]


def shown_step(steps: Sequence[int], wanted: int) -> int:
    """The last of a run's steps that is not after `wanted` (its first where all are).

    >>> shown_step([0, 100, 200], 150)
    100
    """
    return max((step for step in steps if step <= wanted), default=steps[0])


def short_names(layers: Sequence[str]) -> list[str]:
    """Layer names without the dotted part that all of them begin with.

    >>> short_names(["encoder.blocks.0", "encoder.blocks.1"])
    ['0', '1']
    """
    parts = [name.split(".") for name in layers]
    common = 0
    while len(layers) > 1 and all(len(p) > common + 1 and p[common] == parts[0][common] for p in parts):
        common += 1
    return [".".join(p[common:]) for p in parts]


def _run(results: Results, run: str) -> Payload:
    recogniser, _, seed = run.rpartition("/")
    layers = list(results.layers(run))
    scores, training = results.wer(run), results.training(run)
    return {
        "recogniser": recogniser or run,
        "seed": seed if recogniser else "",
        "layers": layers,
        "labels": short_names(layers),
        "steps": list(results.steps(run)),
        # Rounded once more when shown, to a tenth of a percent: rounding twice could turn 12.549 % into 12.6 %.
        **{str(name): _numbers(values.values.tolist(), decimals=9) for name, values in scores.items()},
        **{
            str(name): _numbers(values.values.tolist(), decimals=9 if name == "learning_rate" else 4)
            for name, values in training.items()
        },
    }


def _recognisers(runs: Sequence[str]) -> list[Payload]:
    grouped: dict[str, list[str]] = {}
    for run in runs:
        grouped.setdefault(run.rpartition("/")[0] or run, []).append(run)
    return [{"name": name, "runs": members} for name, members in grouped.items()]


def _reasons(results: Results) -> Payload:
    """measure → run → layer label → why it was refused."""
    label = {run: dict(zip(results.layers(run), short_names(results.layers(run)), strict=True)) for run in results.runs}
    reasons: Payload = {}
    for refusal in results.refusals:
        of_run = reasons.setdefault(refusal.measure, {}).setdefault(refusal.run, {})
        layer = label.get(refusal.run, {}).get(refusal.layer, refusal.layer)
        known = of_run.get(layer, "")
        of_run[layer] = known if refusal.reason in known else "; ".join(filter(None, (known, refusal.reason)))
    return reasons


def _lowest(results: Results) -> float:
    """The lowest similarity, 0 where none is below it."""
    values = results.dataset["similarity"]
    lowest = float(values.min()) if values.size else 0.0
    return 0.0 if math.isnan(lowest) else min(0.0, lowest)


def _distances(results: Results) -> dict[str, float]:
    """The largest value of each measure that is a distance."""
    found = {}
    for name in results.measures:
        if name in registry.names() and registry.get(name).distance:
            largest = float(results.dataset["similarity"].sel(measure=name).max())
            found[name] = math.ceil(100 * largest) / 100 if largest > 0 else 1.0  # 1 also where it is NaN
    return found


def _table(array: xr.DataArray) -> list[list[list[float | None]]]:
    ends = [name for name in ("low", "high") if name in array.coords]
    return [
        [_numbers(row) for row in array.values.tolist()],
        [_numbers(row, 3) for row in array["null"].values.tolist()],
        *([_numbers(row) for row in array[name].values.tolist()] for name in ends if array[name].notnull().any()),
    ]


def _numbers(values: Sequence[float], decimals: int = 4) -> list[float | None]:
    return [round(v, decimals) if math.isfinite(v) else None for v in values]
