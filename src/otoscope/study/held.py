"""The checkpoints of a series that are in memory: never more than the comparison at hand needs."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from otoscope.adapters.series import CheckpointSeries
from otoscope.capture import Layer, Recogniser
from otoscope.errors import StudyError
from otoscope.files import file_hash
from otoscope.study.looking import chosen_layers

__all__ = ["Held", "HeldCheckpoints"]


SETTINGS = (".json", ".safetensors", ".txt", ".model", ".py")
"""How the names of files end that a folder of transformers is loaded from, tokenisers and its own code among them."""


class Held(NamedTuple):
    """A checkpoint in memory: the recogniser, its layers that are compared, what was done to its weights' names."""

    recogniser: Recogniser
    layers: list[Layer]
    note: str


class HeldCheckpoints:
    """Opens checkpoints of a series as they are needed, by step; the final one stays, others go when they are not.

    `patterns` are names or globs of layers (default: one layer a block), `decoder` whether the default are blocks of
    the decoder.
    """

    def __init__(self, series: CheckpointSeries, patterns: Sequence[str] | None, *, decoder: bool) -> None:
        self.series, self.patterns, self.decoder = series, patterns, decoder
        self._held: dict[int, Held] = {}
        self._prints: dict[int, str] = {}
        self._names: list[str] = []

    def get(self, steps: Collection[int]) -> dict[int, Held]:
        """The checkpoints of these steps. Others are let go of before any is opened.

        Raises StudyError where one has other layers than those seen before.
        """
        for step in self._held.keys() - {*steps, self.series.steps[-1]}:
            del self._held[step]
        return {step: self._held.get(step) or self._open(step) for step in steps}

    @cached_property
    def settings(self) -> str:
        """What tells the series from others with the same weights: how they are loaded, or what they are laid into."""
        return self.series.settings()

    def fingerprints(self, steps: Sequence[int]) -> list[str]:
        """What tells checkpoints from others with other weights: a hash of the files, or the commit on the hub."""
        places = {checkpoint.step: checkpoint.place for checkpoint in self.series.checkpoints}
        for step in steps:
            place = places[step]
            if step not in self._prints and isinstance(place, Path):
                self._prints[step] = _hash(place)
            elif step not in self._prints:  # only who loads it learns what commit a name stands for
                self._prints[step] = str(getattr(self.get(steps)[step].recogniser, "source", place))
        return [self._prints[step] for step in steps]

    def _open(self, step: int) -> Held:
        opened = self.series.open(step)
        layers = chosen_layers({"x": opened.recogniser}, self.patterns, decoder=self.decoder)["x"]
        names = [layer.name for layer in layers]
        self._names = self._names or names
        if names != self._names:
            differing = sorted(set(names) ^ set(self._names)) or names
            raise StudyError(
                f"the checkpoints of {self.series.name} have different layers, and are no series: {differing[0]} is "
                f"not in all of them (step {step}). Name the layers that they have in common"
            )
        self._held[step] = Held(opened.recogniser, layers, opened.note)
        return self._held[step]


def _hash(place: Path) -> str:
    """Of a file, or of a folder's weights and settings; what optimisers keep beside them is left out."""
    if place.is_file():
        return file_hash(place)
    kept = (p for p in place.iterdir() if p.suffix in SETTINGS or p.name.startswith("pytorch_model"))
    files = sorted(p for p in kept if p.is_file())
    return hashlib.sha256("".join(p.name + file_hash(p) for p in files).encode()).hexdigest()
