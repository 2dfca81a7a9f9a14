"""A run's `log.jsonl`: a row for each update and each checkpoint."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from otoscope.files import write_text

__all__ = ["CHECKPOINTS", "Log", "final_checkpoint", "is_finished", "read_log"]

CHECKPOINTS = "checkpoints"
"""The folder of the checkpoints, in that of the run."""


def read_log(folder: Path) -> list[dict[str, Any]]:
    """The rows of a run's `log.jsonl`; a last line cut short by a kill is left out."""
    path = folder / "log.jsonl"
    lines = path.read_text(encoding="utf-8").split("\n")[:-1] if path.exists() else []
    return [json.loads(line) for line in lines]


def is_finished(folder: Path) -> bool:
    """Whether the run in this folder has come to its end: the last step of its plan, or early stopping."""
    rows = [row for row in read_log(folder) if row["kind"] == "checkpoint"]
    return bool(rows) and ("final" in rows[-1] or rows[-1]["step"] == rows[-1]["total"])


def final_checkpoint(folder: Path) -> Path:
    """The file of a run's final model: its last checkpoint, or the best or averaged one where the settings ask for it.

    Of a run that is not finished it is the last checkpoint so far. Raises FileNotFoundError where there is none.
    """
    rows = [row for row in read_log(folder) if row["kind"] == "checkpoint"]
    if not rows:
        raise FileNotFoundError(f"no checkpoint in {folder}")
    name: str = rows[-1].get("final", checkpoint_name(rows[-1]["step"]))
    return folder / CHECKPOINTS / name


def checkpoint_name(step: int) -> str:
    """The name of a checkpoint's file."""
    return f"step-{step:06d}.safetensors"


class Log:
    """Appends rows; each is handed to the system at once, and to the disk by `sync`. Keeps those of `checkpoints`."""

    def __init__(self, folder: Path, *, writes: bool) -> None:
        """Opens the log; `writes` is for the one process that does."""
        self.checkpoints = [row for row in read_log(folder) if row["kind"] == "checkpoint"]
        self._file = (folder / "log.jsonl").open("a", encoding="utf-8") if writes else None

    @property
    def ended(self) -> bool:
        """Whether the last checkpoint is that of a run which came to its end."""
        return bool(self.checkpoints) and "final" in self.checkpoints[-1]

    def write(self, row: dict[str, Any]) -> None:
        """Appends one row."""
        if row["kind"] == "checkpoint":
            self.checkpoints.append(row)
        if self._file is not None:
            self._file.write(json.dumps(row) + "\n")
            self._file.flush()

    def sync(self) -> None:
        """Waits until every row is on the disk."""
        if self._file is not None:
            os.fsync(self._file.fileno())

    def __enter__(self) -> Log:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()


def cut_log(folder: Path, step: int) -> None:
    """Drops the rows beyond a step, and a last line cut short."""
    rows = [row for row in read_log(folder) if row["step"] <= step]
    write_text(folder / "log.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
