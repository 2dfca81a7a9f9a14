"""The checkpoints in a folder, each with its training step, and what lies beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open

from otoscope.adapters.torch_files import damaged, read_torch
from otoscope.adapters.training_steps import Steps, steps_of_names
from otoscope.adapters.weights import SUFFIXES, WHOLE
from otoscope.errors import CaptureError

__all__ = ["Found", "find_checkpoints"]

OWN = "recogniser"
"""The key in the metadata of checkpoints of Otoscope's own recognisers."""

LIGHTNING = "global_step"
"""Where Lightning's checkpoints have their step."""

NO_STEP = "no step could be told"


@dataclass(frozen=True)
class Found:
    """Checkpoints and their steps. `kind` is "otoscope", "transformers" or "weights"; `skipped` says what and why."""

    kind: str
    name: str
    steps: Mapping[Path, int]
    told_by: str
    skipped: tuple[str, ...]

    @classmethod
    def of(cls, kind: str, name: str, folder: Path, steps: Steps, skipped: Sequence[str]) -> Found:
        """One checkpoint for each step, in order."""
        first: dict[int, str] = {}
        twice = []
        for file in sorted(steps.of, key=lambda file: (steps.of[file], *_preference(file))):
            if first.setdefault(steps.of[file], file) != file:
                twice.append(f"{file}: of the same step as {first[steps.of[file]]}")
        left = (*skipped, *twice)
        if len(first) < 2:
            raise CaptureError(
                f"a series takes two checkpoints or more, and {folder} has {len(first)} "
                f"({'; '.join([*first.values(), *left]) or 'nothing that is known'}). Expected folders "
                f"checkpoint-<step>, or files ending in {', '.join(SUFFIXES)} with their steps in their names"
            )
        return cls(kind, name, {folder / file: step for step, file in first.items()}, steps.told_by, left)


def find_checkpoints(folder: Path, *, weights: bool) -> Found:
    """The checkpoints of whichever kind the folder has; `weights` says that weights alone will do.

    Raises CaptureError where there are fewer than two, and for a study of several runs.
    """
    return _own(folder) or _transformers(folder, weights=weights) or _files(folder)


def _own(folder: Path) -> Found | None:
    """Those of a run of a study; the folder is the run's, that of its checkpoints, or a study's with one run."""
    runs = sorted(folder.glob("recognisers/*/seed*/checkpoints"))
    if len(runs) > 1:
        named = ", ".join(str(run.parent.relative_to(folder)) for run in runs[:6])
        raise CaptureError(f"{folder} is a study of {len(runs)} runs: give the folder of one of them, such as {named}")
    for own in (*runs, folder / "checkpoints", folder):
        files = sorted(file.name for file in own.glob("*.safetensors"))
        saved = [file for file in files if file.startswith("step-")]
        if saved and OWN in _metadata(own / saved[0]):
            run = own.absolute().parent
            left = [f"{file}: {NO_STEP}" for file in files if file not in saved]
            return Found.of("otoscope", f"{run.parent.name}/{run.name}", own, steps_of_names(saved), left)
    return None


def _metadata(file: Path) -> Mapping[str, str]:
    try:
        with safe_open(str(file), framework="pt") as content:
            return dict(content.metadata() or {})
    except (OSError, SafetensorError) as error:
        raise damaged(file, "safetensors", error) from error


def _transformers(folder: Path, *, weights: bool) -> Found | None:
    """The folders of a Trainer."""
    saved = sorted(p.name for p in folder.glob("checkpoint-*") if p.is_dir())
    if not saved:
        return None
    wanted = WHOLE if weights else ("config.json",)
    usable = [name for name in saved if any((folder / name / file).is_file() for file in wanted)]
    steps = steps_of_names(usable)
    left = [f"{name}: has no {' or '.join(wanted)}" for name in saved if name not in usable]
    left += [f"{name}: {NO_STEP}" for name in usable if name not in steps.of]
    left += [f"{p.name}: lies beside the checkpoints" for p in sorted(folder.iterdir()) if p.name.endswith(SUFFIXES)]
    return Found.of("transformers", _named(folder), folder, steps, left)


def _files(folder: Path) -> Found:
    """Files of weights: Lightning's where there are any, else whatever has a step in its name."""
    files = sorted(p.name for p in folder.iterdir() if p.is_file() and p.suffix.lower() in SUFFIXES)
    converted = {Path(file).stem for file in files if file.endswith(".safetensors")}
    lightning = [file for file in files if file.endswith(".ckpt") and Path(file).stem not in converted]
    steps = _inside(folder, lightning) or steps_of_names(lightning or files)
    left = [f"{file}: {NO_STEP}" for file in files if file not in steps.of]
    return Found.of("weights", _named(folder), folder, steps, left)


def _inside(folder: Path, files: Sequence[str]) -> Steps | None:
    """The steps that Lightning wrote into the files, where it wrote all of them."""
    contents = ((file, read_torch(folder / file)) for file in files)
    steps = {f: content[LIGHTNING] for f, content in contents if isinstance(content, Mapping) and LIGHTNING in content}
    return Steps(steps, f"{LIGHTNING} in the files") if files and len(steps) == len(files) else None


def _preference(file: str) -> tuple[object, ...]:
    """Of two checkpoints of one step the one to take: not a copy called last, safetensors before others."""
    return file.startswith("last"), not file.endswith(".safetensors"), len(file), file


def _named(folder: Path) -> str:
    """The name of a training, by its folder: Lightning calls the one within checkpoints."""
    folder = folder.absolute()
    return folder.parent.name if folder.name == "checkpoints" else folder.name
