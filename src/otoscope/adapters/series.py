"""The checkpoints of a training that somebody else ran, in order of steps: what they are, and how each is loaded."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from otoscope.adapters.finding import Found, find_checkpoints
from otoscope.adapters.fingerprint import described, fingerprint
from otoscope.adapters.fitting import fit
from otoscope.adapters.training_steps import steps_of_revisions
from otoscope.adapters.weights import read_weights
from otoscope.capture import Recogniser, TorchRecogniser
from otoscope.errors import CaptureError

__all__ = ["Base", "CheckpointSeries", "Load", "Opened", "SavedCheckpoint", "series"]

Load = Callable[[str | Path], Recogniser]
"""Loads a whole recogniser by its name or path, as `otoscope.loading.load_recogniser` does."""

Base = TorchRecogniser | Callable[[], Recogniser] | str | Path
"""A recogniser that weights are laid into, a function that makes a fresh one each time, or a name or path of one."""


@dataclass(frozen=True, slots=True)
class SavedCheckpoint:
    """One checkpoint: its training step, and the path or the `organisation/model@revision` that it is loaded from."""

    step: int
    place: Path | str


@dataclass(frozen=True, slots=True)
class Opened:
    """A checkpoint as a recogniser, and what was done to the names of its weights, empty where nothing was."""

    recogniser: Recogniser
    note: str = ""


@dataclass(frozen=True)
class CheckpointSeries:
    """The checkpoints of one training in order of steps.

    `told_by` says where the steps were taken from. `skipped` names what lay beside the checkpoints and is none of
    them, each with the reason. `base` says what weights are laid into, empty where checkpoints are whole. `opener`
    loads one. `settings` gives a hash of what else numbers depend on: the base's structure, settings and features, or
    how whole checkpoints are loaded.
    """

    name: str
    checkpoints: tuple[SavedCheckpoint, ...]
    told_by: str
    skipped: tuple[str, ...]
    base: str
    opener: Callable[[Path | str], Opened]
    settings: Callable[[], str] = str

    @property
    def steps(self) -> tuple[int, ...]:
        """The training steps, in order."""
        return tuple(checkpoint.step for checkpoint in self.checkpoints)

    def open(self, step: int) -> Opened:
        """The recogniser after so many steps, loaded anew. Raises CaptureError where it cannot be read."""
        for checkpoint in self.checkpoints:
            if checkpoint.step == step:
                return self.opener(checkpoint.place)
        there = ", ".join(map(str, self.steps))
        raise CaptureError(f"{self.name} has no checkpoint of step {step}; its steps are {there}")


def series(
    place: str | Path, *, revisions: Sequence[str] | None = None, base: Base | None = None, load: Load | None = None
) -> CheckpointSeries:
    """The checkpoints of a training, found and put in order; none is loaded yet.

    | `place` | checkpoints | step |
    |---|---|---|
    | a folder of transformers' Trainer | folders `checkpoint-<step>` | in their names |
    | a folder of Lightning | `*.ckpt`, laid into `base` | `global_step` in the files, else in their names |
    | a folder of state dicts (`.pt`, `.pth`, `.bin`, `.safetensors`, `.npz`) | laid into `base` | in their names |
    | a run of a study, `recognisers/<name>/seed<k>` | its `checkpoints/*.safetensors` | in their names |
    | `organisation/model@one,two,…` on the Hugging Face hub | these revisions | in their names, else counted |

    Arguments:
        place: as in the table.
        revisions: of a model on the hub, where its name does not list them.
        base: what weights are laid into: the recogniser that was trained, whatever its weights; a function that makes
            it, or what `load` loads it by. Each checkpoint gets one of its own. Where checkpoints are whole by
            themselves, only the weights are read of them.
        load: how whole recognisers are loaded. By default those of transformers are, others not: see
            `otoscope.loading.load_recogniser`.

    Raises:
        CaptureError: no such folder; fewer than two checkpoints in it; state dicts and no `base`; a checkpoint of
            Lightning that needs unpickling.

    >>> import tempfile, torch
    >>> class Own(TorchRecogniser):
    ...     module, frame_shift = torch.nn.Linear(80, 8), 0.01
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for step in (100, 1000):
    ...         torch.save({f"model.{k}": v for k, v in Own.module.state_dict().items()}, f"{folder}/at_{step}.pt")
    ...     found = series(folder, base=Own())
    ...     found.steps, found.told_by
    ...     found.open(1000).note
    ((100, 1000), 'the number in the place of # in at_#.pt')
    "the prefix 'model.' was taken off the names of the weights"
    """
    path = Path(place)
    if path.is_dir() and not revisions:
        found = find_checkpoints(path, weights=base is not None)
        checkpoints = tuple(SavedCheckpoint(step, place) for place, step in found.steps.items())
        told = (found.name, checkpoints, found.told_by, found.skipped)
        if base is None:
            loader = _loader(found, load)
            return CheckpointSeries(*told, "", _whole(loader), partial(_way, loader))
        loader = load or _transformers
        return CheckpointSeries(*told, _described(base), _into(base, loader), partial(_settings, base, loader))
    name, _, pinned = str(place).partition("@")
    chosen = list(revisions or filter(None, pinned.split(",")))
    if not chosen or path.exists():
        raise CaptureError(
            f"there is no series of checkpoints at {place}: expected a folder with several, or a model on the Hugging "
            "Face hub with its revisions, organisation/model@one,two"
        )
    if base is not None or len(set(chosen)) < max(2, len(chosen)):
        raise CaptureError(
            f"a series on the hub takes two different revisions or more, and no base: got {', '.join(chosen)} of {name}"
            f"{' and a base' if base is not None else ''}"
        )
    steps = steps_of_revisions(chosen)
    saved = sorted((step, f"{name}@{revision}") for revision, step in steps.of.items())
    checkpoints = tuple(SavedCheckpoint(step, place) for step, place in saved)
    loader = load or _transformers
    told = (name.rpartition("/")[2], checkpoints, steps.told_by, ())
    return CheckpointSeries(*told, "", _whole(loader), partial(_way, loader))


def _loader(found: Found, load: Load | None) -> Load:
    """What loads these checkpoints as they are. Raises CaptureError where more is needed."""
    if found.kind == "weights":
        first = next(iter(found.steps))
        raise CaptureError(
            f"{first.parent} has {len(found.steps)} files of weights, such as {first.name}, which need the model that "
            "they belong to: give the recogniser that was trained as base"
        )
    if found.kind == "otoscope" and load is None:
        raise CaptureError(
            f"the checkpoints of {found.name} are of Otoscope's own recognisers: "
            "give load=otoscope.loading.load_recogniser"
        )
    return load or _transformers


def _transformers(place: Path | str) -> Recogniser:
    from otoscope.adapters.huggingface import load_huggingface

    if isinstance(place, Path):
        return load_huggingface(place)
    name, _, revision = place.partition("@")
    return load_huggingface(name, revision=revision)


def _whole(load: Load) -> Callable[[Path | str], Opened]:
    """Opens checkpoints that are recognisers by themselves."""
    return lambda place: Opened(load(place))


def _into(base: Base, load: Load) -> Callable[[Path | str], Opened]:
    """Opens checkpoints that are weights, laid into a recogniser of their own."""

    def opened(place: Path | str) -> Opened:
        recogniser = _fresh(base, load)
        note = fit(recogniser.module, read_weights(Path(place)), Path(place).name)
        recogniser.module.eval()
        return Opened(recogniser, note)

    return opened


def _fresh(base: Base, load: Load) -> TorchRecogniser:
    if isinstance(base, TorchRecogniser):
        return copy.deepcopy(base)
    made = load(base) if isinstance(base, str | Path) else base()
    if not isinstance(made, TorchRecogniser):
        raise CaptureError(
            f"the base {_described(base)} is a {type(made).__name__}, which has no torch module to lay weights into: "
            "give a TorchRecogniser"
        )
    return made


def _way(load: Load) -> str:
    """A hash of how checkpoints are loaded: the function, and what it was made with, such as a language."""
    return hashlib.sha256(json.dumps(described(load)).encode()).hexdigest()


def _settings(base: Base, load: Load) -> str:
    return fingerprint(base if isinstance(base, TorchRecogniser) else _fresh(base, load))


def _described(base: Base) -> str:
    """What a base is: what it is or was loaded from, where it tells."""
    if isinstance(base, str | Path):
        return str(base)
    return str(getattr(base, "source", None) or getattr(base, "__qualname__", type(base).__qualname__))
