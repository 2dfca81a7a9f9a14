"""Which axis of an output runs over utterances, over frames of speech, over tokens: those that change with them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from otoscope.capture.discovery.passes import Pass, Shape

__all__ = ["Axes", "Over", "axes_of"]

Over = Literal["frames", "tokens"]


@dataclass(frozen=True)
class Axes:
    """One output's axes: `steps` runs over what `over` says, `batch` over utterances, the rest are units.

    `problem` says why capture cannot take it, where it cannot.
    """

    over: Over | None = None
    batch: int | None = None
    steps: int | None = None
    units: int | None = None
    problem: str = ""


def axes_of(shape: Shape, *, batch: set[int] | None, frames: set[int], tokens: set[int]) -> Axes:
    """The axes of an output from those that change with the batch (None: not seen), the speech and the text.

    >>> axes_of((1, 512, 199), batch={0}, frames={2}, tokens=set())
    Axes(over='frames', batch=0, steps=2, units=512, problem='')
    """
    if frames and tokens:
        return Axes(problem=f"its output {_shown(shape)} grows with the speech and with the text")
    if not frames and not tokens:
        return Axes(problem=f"no axis of its output {_shown(shape)} runs over time")
    over: Over = "frames" if frames else "tokens"
    steps = frames or tokens
    if len(steps) > 1:
        return Axes(over, problem=f"{len(steps)} axes of its output {_shown(shape)} run over {over}")
    (step,) = steps
    if batch is None:  # seen alone only: an axis of 1 that comes first
        batch = {next((i for i, size in enumerate(shape) if size == 1 and i != step), -1)} - {-1}
    if step in batch:
        return Axes(over, problem=f"batch and {over} are one axis of its output {_shown(shape)}")
    if len(batch) != 1:
        return Axes(over, problem=f"no axis of its output {_shown(shape)} runs over utterances")
    (utterances,) = batch
    units = math.prod(size for i, size in enumerate(shape) if i not in (step, utterances))
    fits = (len(shape) == 3 and (utterances, step) in _LAYOUTS[over]) or (
        len(shape) == 4 and (over, utterances, step) == ("frames", 0, 2)
    )
    problem = "" if fits else f"its output {_shown(shape)} has {over} on axis {step}, which capture does not take"
    return Axes(over, utterances, step, units, problem)


_LAYOUTS: dict[Over, set[tuple[int, int]]] = {"frames": {(0, 1), (0, 2), (1, 0)}, "tokens": {(0, 1)}}
"""The axes of utterances and steps in outputs of three axes that `to_frames` and `to_tokens` take."""


def changed(name: str, first: Pass, *others: Pass) -> set[int] | None:
    """The axes in which a submodule's outputs differ between passes; None where they cannot be laid side by side."""
    shapes = [one.shape(name) for one in (first, *others)]
    if not others or any(shape is None or len(shape) != len(shapes[0] or ()) for shape in shapes):
        return None
    return {i for i, sizes in enumerate(zip(*(s for s in shapes if s is not None), strict=True)) if len(set(sizes)) > 1}


def _shown(shape: Shape) -> str:
    return " × ".join(map(str, shape))
