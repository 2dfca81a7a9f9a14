"""Error rates and losses as records for the charts, from the results and the training logs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from otoscope.report.folder import StudyFolder

__all__ = ["score_points"]

LOG_POINTS = 160
"""Points a training loss curve is thinned to, by the mean of the steps between."""


def score_points(folder: StudyFolder) -> list[dict[str, Any]]:
    """Every score as a record: quantity ("wer", "cer", "loss"), run, recogniser, split, step, seconds, value."""
    points: list[dict[str, Any]] = []
    for run in folder.results.runs:
        about = {"run": run, "recogniser": run.rpartition("/")[0] or run}
        checkpoints = folder.results.wer(run).merge(folder.results.training(run))
        seconds = checkpoints["seconds"].values.tolist()
        train = _training_loss(folder.logs[run])
        columns = [(q, s, f"{s}_{q}") for q in ("wer", "cer") for s in ("dev", "test")] + [("loss", "dev", "dev_loss")]
        if not train:
            columns.append(("loss", "train", "train_loss"))
        for quantity, split, name in columns:
            values = checkpoints[name].values.tolist()
            for step, time, value in zip(checkpoints["step"].values.tolist(), seconds, values, strict=True):
                points.append(_point(about, quantity, split, step, time, value))
        points += [_point(about, "loss", "train", *row) for row in train]
    return [p for p in points if p["value"] is not None]


def _point(about: dict[str, str], quantity: str, split: str, step: float, time: float, value: float) -> dict[str, Any]:
    seconds = round(time, 1) if math.isfinite(time) else None
    known = round(value, 9) if math.isfinite(value) else None
    return {**about, "quantity": quantity, "split": split, "step": round(step), "seconds": seconds, "value": known}


def _training_loss(log: list[dict[str, Any]]) -> list[tuple[float, float, float]]:
    """(step, seconds, loss), averaged over steps whose spacing grows as the logarithmic axis does."""
    rows = [
        (float(row["step"]), float(row.get("seconds") or math.nan), float(row["loss"]))
        for row in log
        if isinstance(row.get("loss"), int | float)
    ]
    if len(rows) <= LOG_POINTS:
        return rows
    edges = np.unique(np.geomspace(1, len(rows), LOG_POINTS).astype(int))
    starts = [0, *edges[:-1].tolist()]
    table = np.array(rows)
    return [
        (float(s), float(t), float(v))
        for s, t, v in (table[a:b].mean(axis=0) for a, b in zip(starts, edges.tolist(), strict=True))
    ]
