"""From options to a study: its configuration, its folder, and what is said of its speech."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from otoscope.corpora import Problem, summarise
from otoscope.errors import StudyError
from otoscope.study import StudyConfig, StudyFolder

__all__ = ["command_line", "config_of", "default_folder", "folder_of", "read_config", "tell_problems"]


def read_config(path: Path, given: Mapping[str, Any]) -> StudyConfig:
    """The study of a file, on another corpus or watched where that is given beside it."""
    beside = {name: given[name] for name in ("corpus", "watch") if given[name] is not None}
    if clash := [f"--{name}" for name, value in given.items() if value is not None and name not in beside]:
        raise StudyError(f"{path} says all of the study, so {', '.join(clash)} cannot be given beside it")
    config = StudyConfig.read(path)
    return StudyConfig.of(**config.model_dump() | beside) if beside else config


def config_of(given: dict[str, Any]) -> StudyConfig:
    """The study that options ask for; those not given (None) are left to the defaults."""
    fields = {name: value for name, value in given.items() if value is not None}
    training: dict[str, Any] = {name: fields.pop(name) for name in ("epochs", "checkpoints") if name in fields}
    return StudyConfig.default(fields.pop("corpus", "default"), training=training, **fields)


def folder_of(config: Path | None) -> Path | None:
    """The study's folder that a study.toml lies in, if it does: there the study goes on."""
    return config.parent if config is not None and (config.parent / "manifest.json").exists() else None


def default_folder(config: StudyConfig) -> Path:
    """`studies/` and the corpus folder's name."""
    return Path("studies") / (Path(config.corpus).resolve().name if config.corpus != "default" else "default")


def command_line() -> list[str]:
    """The command as a stranger would type it, without the path that this machine has it under."""
    return ["otoscope", *sys.argv[1:]]


def tell_problems(folder: Path) -> int:
    """Says on stderr what was skipped or mended of the corpus, as the manifest has it. Returns the number skipped."""
    manifest = json.loads(StudyFolder(folder).manifest.read_text(encoding="utf-8"))
    problems = [Problem(**row) for row in manifest["corpus"]["problems"]["list"]]
    if problems:
        print(summarise(problems), file=sys.stderr)
    return sum(problem.action == "skipped" for problem in problems)
