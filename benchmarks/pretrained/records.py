"""What a section found about one model, kept in a file of its own, and the pages made of these files."""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from otoscope.files import write_bytes
from otoscope.study.manifest import host, versions

ROOT = Path(__file__).resolve().parents[2]
LIBRARIES = ("transformers", "onnxruntime", "scikit-learn", "whisper-normalizer")

Record = dict[str, Any]


def paragraph(text: str) -> list[str]:
    """Text in lines of 120 characters."""
    return textwrap.wrap(" ".join(text.split()), 120, break_on_hyphens=False, break_long_words=False)


class Records:
    """A folder of pages, figures and records; a run that was stopped keeps what it had finished."""

    def __init__(self, folder: Path, program: str = "benchmarks.pretrained") -> None:
        self.folder, self.program = folder, program
        self._commit = _commit()  # of the code that was imported; others may commit while it runs

    @contextmanager
    def kept(self, section: str, model: str) -> Iterator[Record]:
        """A record to be filled, written at the end with what it was made by."""
        record: Record = {}
        began = time.monotonic(), time.process_time()
        yield record
        record["about"] = {
            "machine": host()["machine"],
            "threads": torch.get_num_threads(),
            "versions": versions() | {name: importlib.metadata.version(name) for name in LIBRARIES},
            "date": time.strftime("%Y-%m-%d"),
            "commit": self._commit,
            "command": " ".join([f"python -m {self.program}", *sys.argv[1:]]),
            "seconds": round(time.monotonic() - began[0], 1),
            "cpu_seconds": round(time.process_time() - began[1], 1),
        }
        text = json.dumps(record, indent=1, ensure_ascii=False)
        write_bytes(self._path(section, model), f"{text}\n".encode())

    def of(self, section: str, models: list[str]) -> dict[str, Record]:
        """The records of a section that there are, in this order."""
        paths = {model: self._path(section, model) for model in models}
        return {m: json.loads(path.read_text(encoding="utf-8")) for m, path in paths.items() if path.is_file()}

    def page(self, name: str, title: str, records: dict[str, Record], lines: list[str]) -> None:
        """A page of tables, with what each of its records was made by."""
        text = "\n".join([f"# {title}", "", *lines, "", *_made_by(records)])
        write_bytes(self.folder / f"{name}.md", f"{text}\n".encode())
        print(self.folder / f"{name}.md", flush=True)

    def _path(self, section: str, model: str) -> Path:
        folder = self.folder / "records"
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{section}-{model}.json"


def _made_by(records: dict[str, Record]) -> list[str]:
    """Machine, versions, date, commit and command, once for all records that share them."""
    groups: dict[str, list[str]] = {}
    for model, record in records.items():
        about = record["about"]
        made = "\n".join(
            [
                f"- Machine: {about['machine']}; {about['threads']} thread" + "s" * (about["threads"] > 1),
                f"- Versions: {', '.join(f'{k} {v}' for k, v in about['versions'].items())}",
                f"- Date: {about['date']}; commit {about['commit']}",
                f"- Command: `{about['command']}`",
            ]
        )
        groups.setdefault(made, []).append(f"{model} ({about['cpu_seconds']:.0f} s of CPU time)")
    lines = ["## Made by", ""]
    for made, models in groups.items():
        lines += [f"{', '.join(models)}:", "", *made.splitlines(), ""]
    return lines[:-1]


def _commit() -> str:
    command = ["git", "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout.strip()
