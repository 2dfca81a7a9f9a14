"""Findings to and from `findings.json`."""

from __future__ import annotations

import dataclasses
import datetime
import json
import math
import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from otoscope.errors import StudyError
from otoscope.files import file_hash, write_text
from otoscope.study.findings.finding import Effect, Finding
from otoscope.study.findings.schema import SCHEMA_VERSION, About, FindingsFile, schema
from otoscope.study.findings.view import Findings
from otoscope.study.plain import plain
from otoscope.study.results import Results

__all__ = ["about_study", "load", "save", "schema_text"]

MOST_FAULTS = 5


def about_study(results: Results, path: Path | str | None = None) -> About:
    """Which study findings are of, from its results and the file that they are in, if there is one."""
    attrs = results.dataset.attrs
    return About(
        title=str(attrs["title"]),
        corpus=str(attrs["corpus"]),
        corpus_hash=str(attrs["corpus_hash"]),
        measures=list(results.measures),
        versions=json.loads(attrs["versions"]),
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        results="" if path is None else file_hash(Path(path)),
        missing=list(results.missing),
    )


def save(findings: Sequence[Finding], path: Path | str, about: About) -> Path:
    """Writes `findings.json`, whole or not at all, and returns its path.

    Findings are sorted by question (F2 before F10), by what they are about, and by measure in the study's order.
    Numbers that are NaN are written as null, which JSON has. `schema.schema` describes the file.

    Arguments:
        findings: those of `find_all`, or any.
        path: of the file.
        about: which study they are of, see `about_study`.

    >>> import tempfile
    >>> study = About("example", "an4", "", ["cka"], {}, "2026-01-01T00:00:00+00:00")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     print(load(save([Finding("F1", "depth hierarchy", "", "cnn", "cka")], f"{folder}/findings.json", study)))
    id  finding          of   measure  verdict          effect  interval  counts above
    F1  depth hierarchy  cnn  cka      not enough data
    """
    order = {measure: i for i, measure in enumerate(about.measures)}

    def place(finding: Finding) -> tuple[object, ...]:
        number = [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", finding.id)]
        return number, finding.of, order.get(finding.measure, len(order)), finding.measure

    content = FindingsFile(SCHEMA_VERSION, about, sorted(findings, key=place))
    return write_text(Path(path), json.dumps(plain(asdict(content)), indent=1, ensure_ascii=False) + "\n")


def load(path: Path | str) -> Findings:
    """Reads what `save` wrote.

    Raises StudyError for a file that is missing or not JSON, of another schema version, or not as the schema says.
    """
    return Findings(_finding(row) for row in read(Path(path))["findings"])


def read(path: Path) -> dict[str, Any]:
    """The content of `findings.json`, which is as the schema says; raises StudyError as `load` does."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise StudyError(f"{path}: there is no such file of findings; `otoscope study` makes one") from error
    except ValueError as error:
        raise StudyError(f"{path} is not JSON ({error}); `otoscope study` on the folder makes it anew") from error
    version = content.get("schema_version") if isinstance(content, dict) else None
    if version != SCHEMA_VERSION:
        raise StudyError(
            f"{path} has findings schema {version}; this Otoscope reads schema {SCHEMA_VERSION}: run `otoscope study` "
            "on the folder again, or use the version that wrote it"
        )
    faults = sorted(Draft202012Validator(schema()).iter_errors(content), key=lambda fault: list(map(str, fault.path)))
    if faults:
        told = [f"{'.'.join(map(str, fault.path)) or 'the file'}: {fault.message}" for fault in faults[:MOST_FAULTS]]
        more = f"\n  and {len(faults) - MOST_FAULTS} more" if len(faults) > MOST_FAULTS else ""
        listed = "\n  ".join(told)
        raise StudyError(f"{path} is not as its schema says:\n  {listed}{more}")
    return dict(content)


def schema_text() -> str:
    """The schema as `docs/findings.schema.json` has it."""
    return json.dumps(schema(), indent=1, ensure_ascii=False) + "\n"


def _finding(row: dict[str, Any]) -> Finding:
    several = {name: {of: _effect(e) for of, e in row[name].items()} for name in ("baselines", "beyond")}
    numbers = {name: {of: _nan(value) for of, value in row[name].items()} for name in ("by_run", "details")}
    effect = None if row["effect"] is None else _effect(row["effect"])
    return Finding(**{**row, **several, **numbers, "effect": effect, "least": _nan(row["least"])})


def _effect(row: dict[str, float | None]) -> Effect:
    return Effect(**{field.name: _nan(row[field.name]) for field in dataclasses.fields(Effect)})


def _nan(value: float | None) -> float:
    return math.nan if value is None else float(value)
