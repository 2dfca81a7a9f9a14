"""The records of runs: JSON lines, one for each thing that was timed, with the run that it came from."""

from __future__ import annotations

import datetime
import json
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

__all__ = ["Record", "environment", "merged", "read", "write"]

Record = dict[str, Any]

ROOT = Path(__file__).resolve().parents[2]
LIBRARIES = ("otoscope", "torch", "numpy")


def environment(arguments: list[str]) -> Record:
    """What a run ran on: machine, versions, date, commit and command; `run` names it."""
    now = datetime.datetime.now(datetime.UTC)
    return {
        "kind": "environment",
        "run": now.strftime("%Y%m%dT%H%M%S"),
        "date": now.strftime("%Y-%m-%d"),
        "machine": f"{_processor()}, {os.cpu_count()} cores, {_memory()}",
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "versions": {name: _version(name) for name in LIBRARIES},
        "commit": _commit(),
        "quick": "--quick" in arguments,
        "command": shlex.join(["python", "-m", "benchmarks.measures", *arguments]),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        about = dict(line.split(":", 1) for line in lines if ":" in line)
        about = {k.strip(): v.strip() for k, v in about.items()}
        return f"{about['model name']} (family {about['cpu family']}, model {about['model']})"
    except (OSError, KeyError):
        return platform.processor() or platform.machine()


def _memory() -> str:
    return f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB"


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "–"


def _commit() -> str:
    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()

    try:
        changed = git("status", "--porcelain", "--untracked-files=no", "src")
        return git("rev-parse", "--short=12", "HEAD") + (" with changes" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def key(record: Record) -> tuple[Any, ...]:
    """What a later record of the same thing replaces."""
    if record["kind"] == "environment":
        return ("environment", record["run"])
    return tuple(record.get(k) for k in ("kind", "case", "name", "measure", "threads", "frames_streamed", "device"))


def read(path: Path) -> list[Record]:
    """The records of a file, none where there is no file."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def merged(old: Iterable[Record], new: Iterable[Record]) -> list[Record]:
    """All records, a newer one in place of an older of the same thing; environments that are still spoken of."""
    kept = {key(record): record for record in [*old, *new]}
    spoken = {record["run"] for record in kept.values() if record["kind"] != "environment"}
    environments = [r for r in kept.values() if r["kind"] == "environment" and r["run"] in spoken]
    return [*sorted(environments, key=lambda r: r["run"]), *(r for r in kept.values() if r["kind"] != "environment")]


def write(path: Path, records: Iterable[Record]) -> None:
    """Write the records, one a line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps(record, ensure_ascii=False, allow_nan=True) for record in records]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


if sys.platform == "win32":
    raise SystemExit("the benchmarks read /proc and sysconf; run them on Linux or macOS")
