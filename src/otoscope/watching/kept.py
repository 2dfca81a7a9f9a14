"""The probe set's frames at earlier checkpoints, on disk: what the present layers are compared with."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from safetensors import SafetensorError, safe_open
from torch import Tensor

from otoscope.errors import StudyError
from otoscope.files import save_tensors

__all__ = ["KeptFrames", "least_missed"]


class KeptFrames:
    """One safetensors file for each of at most `most` checkpoints in a folder."""

    def __init__(self, folder: Path, most: int) -> None:
        """Looks at what an earlier process left there."""
        self.folder, self.most = folder, most

    @property
    def steps(self) -> list[int]:
        """The steps that are kept, in order."""
        return sorted(int(path.stem.removeprefix("step-")) for path in self.folder.glob("step-*.safetensors"))

    def add(self, step: int, views: Mapping[str, Tensor]) -> list[int]:
        """Keeps one more; returns the steps that went to make room for it."""
        save_tensors(self._path(step), {name: x.contiguous() for name, x in views.items()})
        gone = []
        while len(self.steps) > self.most:
            gone.append(least_missed(self.steps))
            self._path(gone[-1]).unlink()
        return gone

    def get(self, step: int, layer: str) -> Tensor:
        """A layer's frames × units at an earlier step. Raises StudyError where the file cannot be read."""
        path = self._path(step)
        try:
            with safe_open(str(path), framework="pt") as file:
                frames: Tensor = file.get_tensor(layer)
        except (OSError, SafetensorError) as error:
            raise StudyError(
                f"{path} cannot be read as the frames of a probe set ({error}): delete it, this checkpoint is then "
                "left out of layer × final so far"
            ) from error
        return frames

    def forget(self, kept: Sequence[int]) -> None:
        """Removes every step but these."""
        for step in set(self.steps) - set(kept):
            self._path(step).unlink()

    def _path(self, step: int) -> Path:
        return self.folder / f"step-{step:09d}.safetensors"


def least_missed(steps: Sequence[int]) -> int:
    """Of 3 or more steps, the one whose neighbours lie closest by ratio; never the first or last.

    >>> least_missed([0, 10, 100, 110, 1000])
    110
    """
    gaps = {b: math.log1p(c) - math.log1p(a) for a, b, c in zip(steps, steps[1:], steps[2:], strict=False)}
    return min(gaps, key=gaps.__getitem__)
