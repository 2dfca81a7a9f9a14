"""The folder of a study: where things are, who is working in it, and writes that happen whole or not at all."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from otoscope.errors import StudyError
from otoscope.files import write_text

__all__ = ["StudyFolder", "read_json", "write_json"]


def write_json(path: Path, content: Any) -> None:
    """Writes JSON to `path`, whole or not at all."""
    write_text(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:
    """The content of a JSON file, None where there is none. Raises StudyError for one that is not JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise StudyError(f"{path} is not JSON ({error}): delete it, the study makes it again") from error


@dataclass(frozen=True)
class StudyFolder:
    """Paths inside a study's folder (`docs/results-format.md` has the layout)."""

    path: Path

    @property
    def config(self) -> Path:
        """What was asked."""
        return self.path / "study.toml"

    @property
    def manifest(self) -> Path:
        """What ran, where, with which versions, on which speech."""
        return self.path / "manifest.json"

    @property
    def results(self) -> Path:
        """What was measured."""
        return self.path / "results.nc"

    @property
    def table(self) -> Path:
        """The same as one long table in Parquet."""
        return self.path / "results.parquet"

    @property
    def findings(self) -> Path:
        """What was found, where the study asked for findings."""
        return self.path / "findings.json"

    @property
    def report(self) -> Path:
        """What a person reads."""
        return self.path / "report.html"

    @property
    def features(self) -> Path:
        """Features of the corpus, shared by the runs."""
        return self.path / "features"

    @property
    def measured(self) -> Path:
        """Finished comparisons, one file each: what a killed study does not do again."""
        return self.path / "measured"

    def run(self, name: str) -> Path:
        """The folder of one run, `<recogniser>/seed<k>`."""
        return self.path / "recognisers" / name

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Holds the folder for this process. Raises StudyError naming the owner where another has it.

        The lock goes with the process, so that a killed study leaves none behind.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        owner = self.path / ".owner.json"
        lock = FileLock(self.path / ".lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            who = read_json(owner) or {}
            raise StudyError(
                f"{self.path} is in use by process {who.get('pid', '?')} on {who.get('host', '?')}, since "
                f"{who.get('since', '?')}. Wait for it to end, stop it, or choose another folder with --out"
            ) from None
        try:
            since = time.strftime("%Y-%m-%d %H:%M:%S")
            write_json(owner, {"pid": os.getpid(), "host": platform.node(), "since": since})
            yield
        finally:
            owner.unlink(missing_ok=True)
            lock.release()
