"""The time that a training takes, through every stop and start of it."""

from __future__ import annotations

import time
from typing import ClassVar

__all__ = ["Clock"]


class Clock:
    """Counts on from the seconds of earlier parts of the same training.

    `seconds` are of the clock on the wall. `cpu_seconds` are of all threads of this process, the first of several: what
    a run costs, also where other work shares the processor.
    """

    SHOWS: ClassVar[tuple[str, str]] = ("seconds", "cpu_seconds")

    def __init__(self, seconds: float = 0.0, cpu_seconds: float = 0.0) -> None:
        self._wall = time.monotonic() - seconds
        self._cpu = time.process_time() - cpu_seconds

    def shows(self) -> dict[str, float]:
        """Both counts now, in seconds."""
        return {
            "seconds": round(time.monotonic() - self._wall, 3),
            "cpu_seconds": round(time.process_time() - self._cpu, 3),
        }
