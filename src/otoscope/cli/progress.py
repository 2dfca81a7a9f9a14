"""Progress on stderr: bars on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

__all__ = ["Show", "showing_progress"]

LINE_EVERY_SECONDS = 20.0

Show = Callable[[str, int, int | None], None]
"""Called with what is being done, how much is done, and how much there is."""


@contextmanager
def showing_progress() -> Iterator[Show]:
    """Gives a function to call with what is being done, how much is done, and how much there is.

    What stands after a comma in the first argument is a remark that may change (`training cnn, dev WER 20%`).
    """
    if sys.stderr.isatty():
        with _bars() as show:
            yield show
    else:
        yield _lines()


@contextmanager
def _bars() -> Iterator[Show]:
    # As plain text: a path in a remark may hold what rich takes for markup.
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    tasks: dict[str, TaskID] = {}
    with Progress(*columns, console=Console(stderr=True)) as progress:

        def show(what: str, done: int, total: int | None) -> None:
            name = what.partition(",")[0]
            if name not in tasks:
                tasks[name] = progress.add_task(what, total=total)
            progress.update(tasks[name], description=what, completed=done, total=total)

        yield show


def _lines() -> Show:
    last: dict[str, tuple[float, int]] = {}

    def show(what: str, done: int, total: int | None) -> None:
        name = what.partition(",")[0]
        now = time.monotonic()
        when, seen = last.get(name, (-LINE_EVERY_SECONDS, -1))
        if done != seen and (now - when >= LINE_EVERY_SECONDS or done == total):
            last[name] = (now, done)
            print(f"{what}: {done}/{total if total is not None else '?'}", file=sys.stderr, flush=True)

    return show
