"""`watch.jsonl`: a row for each checkpoint, appended whole; and its rows read back as arrays."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from otoscope.errors import StudyError
from otoscope.files import write_text

__all__ = ["FILE", "WatchLog", "read_watch", "through_training"]

FILE = "watch.jsonl"


class WatchLog:
    """The log in a folder: one line that says what is watched, then one for each checkpoint."""

    def __init__(self, folder: Path) -> None:
        """Nothing is read or written yet."""
        self.path = folder / FILE

    def begin(self, about: Mapping[str, Any], step: int) -> list[dict[str, Any]]:
        """Takes up the log at this step, and returns the rows before it.

        Rows from this step on were written by training that was lost, and come again. Raises StudyError where rows
        stay that are of another watch.
        """
        header = {"kind": "watch", **about}
        old = read_watch(self.path.parent)
        rows = [row for row in old if row["kind"] != "watch" and row["step"] < step]
        if rows and old[0] != header:
            differing = [key for key in header if old[0].get(key) != header[key]]
            raise StudyError(
                f"{self.path} is the log of another watch: it differs in {', '.join(differing)}. Watch this training "
                "in a folder of its own"
            )
        write_text(self.path, "".join(json.dumps(row) + "\n" for row in [header, *rows]))
        return rows

    def append(self, row: Mapping[str, Any]) -> None:
        """Adds a row in one write."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row, allow_nan=False) + "\n")
            file.flush()
            os.fsync(file.fileno())


def read_watch(folder: Path) -> list[dict[str, Any]]:
    """The rows of a folder's `watch.jsonl`, the description first; a last line cut short by a kill is left out."""
    path = folder / FILE
    lines = path.read_text(encoding="utf-8").split("\n")[:-1] if path.exists() else []
    return [json.loads(line) for line in lines]


def through_training(rows: Sequence[Mapping[str, Any]], measure: str = "cka") -> xr.DataArray:
    """Each layer with itself at every earlier checkpoint, from the rows of `read_watch`.

    Returns:
        An array with dimensions `layer`, `step` (of the earlier checkpoint) and `final` (of the later). The last
        `final` is each layer's similarity to the final one; NaN where nothing was compared.

    Raises:
        StudyError: the rows have nothing of this measure.

    >>> about = {"kind": "watch", "layers": [{"name": "a"}], "measures": ["cka"]}
    >>> found = {"to_final": {"value": [[0.25]]}}
    >>> rows = [about, {"kind": "checkpoint", "step": 0, "earlier": [], "measures": {}}]
    >>> rows.append({"kind": "checkpoint", "step": 10, "earlier": [0], "measures": {"cka": found}})
    >>> float(through_training(rows).sel(layer="a", step=0, final=10))
    0.25
    """
    if not rows or measure not in rows[0]["measures"]:
        there = ", ".join(rows[0]["measures"]) if rows else "nothing"
        raise StudyError(f"there is no {measure!r} in the log of this watch; there is {there}")
    names = [layer["name"] for layer in rows[0]["layers"]]
    looked = [row for row in rows if row["kind"] == "checkpoint"]
    steps = [row["step"] for row in looked]
    values = np.full((len(names), len(steps), len(steps)), np.nan)
    for j, row in enumerate(looked):
        found = row["measures"].get(measure, {})
        for at, column in (("to_final", row["earlier"]), ("to_previous", row["earlier"][-1:])):
            if at not in found:
                continue
            cells = np.array(found[at]["value"], dtype=np.float64).reshape(len(names), -1)
            values[:, [steps.index(step) for step in column], j] = cells
    return xr.DataArray(
        values, dims=("layer", "step", "final"), coords={"layer": names, "step": steps, "final": steps}, name=measure
    )
