"""Seconds and bytes of a call, in the process that makes it."""

from __future__ import annotations

import ctypes
import gc
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

__all__ = ["Cost", "best_of", "first_call", "peak_over"]

T = TypeVar("T")

ENOUGH = 4.0  # seconds after which no further run is made
MOST_RUNS = 5
_CLEAR, _STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")


@dataclass
class Cost:
    """CPU and wall seconds (the best of the runs), and the most memory beyond what was held before, in bytes."""

    cpu: float
    wall: float
    runs: int = 1
    peak: int | None = None


def clocked(call: Callable[[], T]) -> tuple[T, float, float]:
    """What the call returns, its CPU seconds (of all threads) and its wall seconds."""
    cpu, wall = time.process_time(), time.perf_counter()
    result = call()
    return result, time.process_time() - cpu, time.perf_counter() - wall


def first_call(call: Callable[[], T]) -> tuple[T, Cost]:
    """One run, with its memory."""
    (result, cpu, wall), peak = peak_over(lambda: clocked(call))
    return result, Cost(cpu, wall, peak=peak)


def best_of(call: Callable[[], T], *, enough: float = ENOUGH) -> tuple[T, Cost]:
    """The first run's result and memory, and the least time of as many runs as fit."""
    result, cost = first_call(call)
    spent = cost.wall
    while cost.runs < MOST_RUNS and spent < enough:
        _, cpu, wall = clocked(call)
        cost.cpu, cost.wall, cost.runs = min(cost.cpu, cpu), min(cost.wall, wall), cost.runs + 1
        spent += wall
    return result, cost


def peak_over(call: Callable[[], T]) -> tuple[T, int]:
    """What the call returns, and how far its memory rose at most above what was held before."""
    gc.collect()
    if sys.platform == "linux":
        ctypes.CDLL("libc.so.6").malloc_trim(0)  # or it would be given what earlier calls left free
    try:
        _CLEAR.write_text("5")  # the high-water mark starts again from here
        before = _kibibytes("VmRSS")
        result = call()
        return result, 1024 * max(0, _kibibytes("VmHWM") - before)
    except OSError:  # not Linux, or not allowed: only a rise above the highest so far shows
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        result = call()
        return result, 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)


def _kibibytes(field: str) -> int:
    lines = _STATUS.read_text(encoding="ascii").splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith(field + ":")))
