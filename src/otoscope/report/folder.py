"""A study's folder as the report reads it: results, manifest, training logs, and what was amiss with them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from otoscope.errors import StudyError
from otoscope.study.findings import Finding
from otoscope.study.findings.writing import load
from otoscope.study.results import Results

__all__ = ["StudyFolder"]


@dataclass(frozen=True)
class StudyFolder:
    """What a study left behind.

    `logs` maps each run to its training log, `findings` is None where the study asked for none (there is no
    findings.json), `notes` says what could not be read.
    """

    path: Path
    results: Results
    manifest: Mapping[str, Any]
    logs: Mapping[str, list[dict[str, Any]]]
    findings: Sequence[Finding] | None
    notes: tuple[str, ...]

    @classmethod
    def read(cls, path: Path) -> StudyFolder:
        """Read a folder; `StudyError` where it holds no results. What else is missing or damaged becomes a note."""
        if not path.is_dir():
            raise StudyError(f"{path} is not a folder. Name the folder that `otoscope study` wrote.")
        results = Results.load(path / "results.nc")
        if not results.runs:
            raise StudyError(f"{path / 'results.nc'} holds no checkpoints. Run `otoscope study` on the folder again.")
        notes: list[str] = []
        manifest: Mapping[str, Any] = {}
        try:
            manifest = json.loads((path / "manifest.json").read_text(encoding="utf-8"))
            if not isinstance(manifest, dict):
                raise ValueError("it is not a JSON object")
        except (OSError, ValueError) as error:
            manifest = {}
            notes.append(f"manifest.json could not be read, so the study is described in part only: {error}")
        logs = {run: _log(path, run, notes) for run in results.runs}
        return cls(path, results, manifest, logs, _findings(path / "findings.json", notes), tuple(notes))


def _findings(file: Path, notes: list[str]) -> Sequence[Finding] | None:
    if not file.exists():
        return None
    try:
        return load(file)
    except StudyError as error:
        notes.append(f"findings.json could not be read, so that the report has no findings: {error}")
        return ()


def _log(path: Path, run: str, notes: list[str]) -> list[dict[str, Any]]:
    file = path / "recognisers" / run / "log.jsonl"
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except OSError:
        notes.append(f"{run}: there is no training log (log.jsonl), so its training loss is shown at checkpoints only.")
        return []
    rows: list[dict[str, Any]] = []
    broken = 0
    for line in filter(str.strip, lines):
        try:
            row = json.loads(line)
        except ValueError:
            broken += 1
            continue
        if isinstance(row, dict) and "step" in row:
            rows.append(row)
        else:
            broken += 1
    if broken:
        notes.append(f"{run}: {broken} of {len(lines)} lines of its training log could not be read and are left out.")
    return rows
