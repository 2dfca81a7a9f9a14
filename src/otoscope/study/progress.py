"""What a run's log says of its training, kept up as the log grows."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from otoscope.study.following import GrowingLog

__all__ = ["Trained"]

WINDOW = 200
"""Updates from which speed and time left are told."""


@dataclass
class Trained:
    """How far the training of one run is; call `look` before reading. None is what the log does not say (yet).

    `dev_wer` is that of the last checkpoint, `best_dev_wer` the lowest so far. `seconds` are of the clock on the wall,
    `cpu_seconds` those of the processor up to the last checkpoint.
    """

    folder: Path
    step: int | None = None
    total: int | None = None
    epoch: float | None = None
    seconds: float | None = None
    cpu_seconds: float | None = None
    dev_wer: float | None = None
    best_dev_wer: float | None = None
    finished: bool = False
    _log: GrowingLog = field(init=False)
    _recent: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=WINDOW))

    def __post_init__(self) -> None:
        self._log = GrowingLog(self.folder)

    def look(self) -> None:
        """Reads what is new in the log."""
        anew, rows = self._log.read()
        if anew:
            self._recent.clear()
            self.step = self.total = self.epoch = self.seconds = self.cpu_seconds = None
            self.dev_wer = self.best_dev_wer = None
            self.finished = False
        for row in rows:
            self._take(row)

    @property
    def speech_per_second(self) -> float | None:
        """Seconds of speech trained on in a second, lately, checkpoints left out."""
        timed = [row for row in self._recent if row.get("speech_per_second")]
        speech = sum(float(row["speech_seconds"]) for row in timed)
        spent = sum(float(row["speech_seconds"] / row["speech_per_second"]) for row in timed)
        return speech / spent if spent else None

    @property
    def seconds_left(self) -> float | None:
        """Until the plan's last step at the pace of late, checkpoints included; early stopping may end it sooner."""
        if self.step is None or self.total is None or len(self._recent) < 2:
            return None
        first, last = self._recent[0], self._recent[-1]
        seconds, updates = float(last["seconds"] - first["seconds"]), int(last["step"] - first["step"])
        return max(0.0, seconds / updates * (self.total - self.step))

    def _take(self, row: dict[str, Any]) -> None:
        self.step = row["step"]
        self.epoch, self.seconds = row.get("epoch", self.epoch), row.get("seconds", self.seconds)
        if row["kind"] == "step":
            if "seconds" in row:
                self._recent.append(row)
            return
        self.total, self.dev_wer = row["total"], row["dev_wer"]
        self.cpu_seconds = row.get("cpu_seconds", self.cpu_seconds)
        self.best_dev_wer = min(row["dev_wer"], self.best_dev_wer if self.best_dev_wer is not None else row["dev_wer"])
        self.finished = "final" in row or row["step"] == row["total"]
