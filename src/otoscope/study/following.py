"""How far a run has come, as its log says while another process writes it."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Following", "GrowingLog", "Standing"]


@dataclass(frozen=True, slots=True)
class Standing:
    """Updates done, those of the whole plan, and the dev WER of the last checkpoint."""

    step: int
    total: int
    dev_wer: float


class GrowingLog:
    """Reads on in a run's `log.jsonl` from where it stopped: that of a long training is large, and looked at often."""

    def __init__(self, folder: Path) -> None:
        """`folder` is that of the run; it need not be there yet."""
        self._path = folder / "log.jsonl"
        self._file, self._read = 0, 0

    def read(self) -> tuple[bool, list[dict[str, Any]]]:
        """Whether the log begins anew (what was read before counts no more), and the rows that came since."""
        try:
            file = self._path.open("rb")
        except FileNotFoundError:
            anew, self._file, self._read = self._file != 0, 0, 0
            return anew, []
        with file:
            number = os.fstat(file.fileno()).st_ino
            anew = number != self._file  # a run that goes on drops what its state does not know: it writes another file
            if anew:
                self._file, self._read = number, 0
            file.seek(self._read)
            whole, newline, _ = file.read().rpartition(b"\n")
        self._read += len(whole) + len(newline)
        return anew, [json.loads(line) for line in whole.splitlines()]


class Following:
    """How far a run is, from its growing log.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     following, log = Following(Path(folder)), Path(folder, "log.jsonl")
    ...     before = following.look()
    ...     _ = log.write_text('{"kind": "checkpoint", "step": 0, "total": 9, "dev_wer": 1.0}\\n{"kind": "st')
    ...     before, following.look()
    (None, Standing(step=0, total=9, dev_wer=1.0))
    """

    def __init__(self, folder: Path) -> None:
        """`folder` is that of the run; it need not be there yet."""
        self._log = GrowingLog(folder)
        self._standing: Standing | None = None

    def look(self) -> Standing | None:
        """How far the run is now; None before its first checkpoint."""
        anew, rows = self._log.read()
        if anew:
            self._standing = None
        for row in rows:
            if row["kind"] == "checkpoint":
                self._standing = Standing(row["step"], row["total"], row["dev_wer"])
            elif self._standing is not None:
                self._standing = Standing(row["step"], self._standing.total, self._standing.dev_wer)
        return self._standing
