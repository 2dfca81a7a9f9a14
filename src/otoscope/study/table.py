"""The runs of a study as a table: which wait, train, failed, ended, with what scores; for a folder in use, too."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import xarray as xr

from otoscope.errors import StudyError
from otoscope.study.config import StudyConfig
from otoscope.study.failing import failure_of
from otoscope.study.folder import StudyFolder, read_json
from otoscope.study.progress import Trained
from otoscope.study.runs import run_names

__all__ = ["RunRow", "RunTable", "State", "runs"]

State = Literal["waiting", "training", "stopped", "finished", "compared", "failed"]


@dataclass(frozen=True, slots=True)
class RunRow:
    """One run of a study, as its folder shows it; None is what is not known (yet).

    `state` is "waiting" (not begun), "training", "stopped" (begun, and nobody is at it), "finished" (trained),
    "compared" (in the results) or "failed", for the reason in `failure`. `step` of `total` updates are done; `seconds`
    of training and of processor time; error rates are shares, 1.0 is 100 %. `speech_per_second` are seconds of speech
    trained on in a second, `seconds_left` those to the end at the pace of late, while it trains.
    """

    run: str
    recogniser: str
    seed: int
    state: State
    step: int | None
    total: int | None
    epoch: float | None
    seconds: float | None
    cpu_seconds: float | None
    dev_wer: float | None
    best_dev_wer: float | None
    test_wer: float | None
    speech_per_second: float | None
    seconds_left: float | None
    failure: str | None


def runs(folder: Path | str) -> list[RunRow]:
    """The runs of a study, or of a training, in the order in which `study.toml` asks for them.

    Only reads, takes no lock, and works while another process is at it. `pandas.DataFrame(runs(folder))` makes a
    table of it.

    Arguments:
        folder: the study's.

    Raises:
        StudyError: the folder holds no study.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     log = Path(folder, "recognisers", "cnn", "seed0", "log.jsonl")
    ...     log.parent.mkdir(parents=True)
    ...     _ = log.write_text('{"kind": "checkpoint", "step": 0, "total": 9, "dev_wer": 1.0}\\n')
    ...     [(row.run, row.state, row.step, row.total) for row in runs(folder)]
    [('cnn/seed0', 'stopped', 0, 9)]
    """
    return RunTable(Path(folder)).rows()


class RunTable:
    """The table of one folder, for looking again and again: of each log only what is new is read."""

    def __init__(self, folder: Path) -> None:
        """`folder` is that of a study. Raises StudyError where it holds none."""
        self._place = StudyFolder(folder)
        self._trained: dict[str, Trained] = {}
        self._results: tuple[int, frozenset[str]] = 0, frozenset()
        self._names()  # so that a folder without a study is refused at once

    @property
    def in_use(self) -> bool:
        """Whether a process is at work in the folder."""
        return self._since() is not None

    def rows(self) -> list[RunRow]:
        """The runs as they are now."""
        since, compared = self._since(), self._compared()
        return [self._row(run, name, seed, since, compared) for run, (name, seed) in self._names().items()]

    def _names(self) -> dict[str, tuple[str, int]]:
        """The runs that are asked for; those that are there, where nothing says what is."""
        if self._place.config.exists():
            return run_names(StudyConfig.read(self._place.config))
        there = sorted(p for p in self._place.path.glob("recognisers/*/seed*") if p.name[4:].isdigit())
        if not there:
            raise StudyError(
                f"{self._place.path} holds no study: expected a study.toml, or runs in recognisers/<name>/seed<k>. "
                "Name the folder that `otoscope study` or `otoscope train` writes to"
            )
        return {f"{p.parent.name}/{p.name}": (p.parent.name, int(p.name[4:])) for p in there}

    def _row(self, run: str, name: str, seed: int, since: float | None, compared: frozenset[str]) -> RunRow:
        folder = self._place.run(run)
        trained = self._trained.setdefault(run, Trained(folder))
        trained.look()
        failure = failure_of(folder)
        test = read_json(folder / "test.json")
        state: State
        if failure is not None:
            state = "failed"
        elif trained.finished:
            state = "compared" if run in compared else "finished"
        elif trained.step is None:
            state = "waiting"
        else:
            # Whoever holds the folder writes the log of a run anew when it takes the run up.
            state = "training" if since is not None and _changed(folder / "log.jsonl") >= since else "stopped"
        return RunRow(
            run,
            name,
            seed,
            state,
            trained.step,
            trained.total,
            trained.epoch,
            trained.seconds,
            trained.cpu_seconds,
            trained.dev_wer,
            trained.best_dev_wer,
            test["test_wer"] if test is not None and trained.finished else None,
            trained.speech_per_second,
            trained.seconds_left if state == "training" else None,
            None if failure is None else f"{failure.stage}: {failure.reason}",
        )

    def _since(self) -> float | None:
        """When the process that works in the folder took it, None where none does."""
        owner = self._place.path / ".owner.json"
        who = read_json(owner)
        here = who is not None and who.get("host") == platform.node() and os.name == "posix"
        if who is None or (here and not _alive(who["pid"])):
            return None
        return _changed(owner)

    def _compared(self) -> frozenset[str]:
        """The runs in results.nc, which is read again only where it is another file."""
        path = self._place.results
        changed = path.stat().st_mtime_ns if path.exists() else 0
        if changed != self._results[0]:
            with xr.open_dataset(path, engine="h5netcdf") as dataset:
                self._results = changed, frozenset(map(str, dataset["run_c"].values))
        return self._results[1]


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
