"""`otoscope runs`."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.live import Live
from rich.text import Text

from otoscope.cli.options import Json
from otoscope.report.text import duration
from otoscope.study.table import RunRow, RunTable

__all__ = ["runs"]

LOOK_EVERY_SECONDS = 2.0


def runs(
    folder: Path,
    *,
    watch: Annotated[
        bool, Parameter(negative=(), show_default=False, help="Go on until nobody is at work in the folder.")
    ] = False,
    json_: Json = False,
) -> None:
    """Show the runs of a study: which wait, train, failed or ended, how far they are, with what error rates.

    It only reads, also while `otoscope study` or `otoscope train` is at work in the folder. With --watch, a table on a
    terminal is kept up to date; elsewhere, and with --json, it is printed anew whenever it has changed.
    """
    table = RunTable(folder)
    written = _json if json_ else _table
    if not watch:
        print(written(table.rows()))
        return
    with _shown(live=sys.stdout.isatty() and not json_) as show:
        while True:
            going_on = table.in_use  # asked before the last look, so that this shows how it ended
            show(written(table.rows()))
            if not going_on:
                return
            time.sleep(LOOK_EVERY_SECONDS)


@contextmanager
def _shown(*, live: bool) -> Iterator[Callable[[str], None]]:
    if live:
        with Live(auto_refresh=False) as screen:
            yield lambda text: screen.update(Text(text, no_wrap=True), refresh=True)
        return
    last = ""

    def show(text: str) -> None:
        nonlocal last
        if text != last:
            print(text, flush=True)
        last = text

    yield show


def _json(rows: Sequence[RunRow]) -> str:
    return json.dumps({"runs": [asdict(row) for row in rows]})


def _table(rows: Sequence[RunRow]) -> str:
    widest = max([len("run"), *(len(row.run) for row in rows)])
    heads = ("steps", "epoch", "time", "CPU", "dev WER", "best", "test WER", "speech/s", "left")
    widths = (13, 6, 9, 9, 7, 7, 8, 8, 9)
    lines = [
        " ".join(
            [
                f"{'run':{widest}}",
                f"{'state':9}",
                *(f"{head:>{width}}" for head, width in zip(heads, widths, strict=True)),
            ]
        )
    ]
    for row in rows:
        cells = (
            "" if row.step is None else f"{row.step}/{row.total if row.total is not None else '?'}",
            "" if row.epoch is None else f"{row.epoch:g}",
            *(_seconds(value) for value in (row.seconds, row.cpu_seconds)),
            *(_rate(value) for value in (row.dev_wer, row.best_dev_wer, row.test_wer)),
            "" if row.speech_per_second is None else f"{row.speech_per_second:.1f}",
            _seconds(row.seconds_left),
        )
        told = [f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True)]
        lines.append(" ".join([f"{row.run:{widest}}", f"{row.state:9}", *told]).rstrip())
    return "\n".join(lines + [f"{row.run} failed in {row.failure}" for row in rows if row.failure is not None])


def _seconds(value: float | None) -> str:
    return "" if value is None else duration(value)


def _rate(value: float | None) -> str:
    return "" if value is None else f"{value:.1%}"
