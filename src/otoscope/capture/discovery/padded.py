"""Recognisers that pad all speech to one length, as Whisper does: time axes told by the kinds of modules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import nn

from otoscope.capture.discovery.passes import Pass, Shape
from otoscope.capture.types import Seconds

__all__ = ["convolutions", "frame_axes", "input_steps", "padded_seconds"]

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d)
"""Time is their axis 2: (batch, channels, frames[, frequencies])."""

UNITS_LAST = (nn.Linear, nn.LayerNorm, nn.Embedding, nn.RMSNorm)
"""Their last axis is never time."""


def input_steps(passes: Sequence[Pass]) -> list[int]:
    """What each pass ran over, in input steps: the inputs' axis that has room for the true lengths, or these."""
    ways = []
    for leaf, shape in enumerate(passes[0].inputs):
        for axis in range(len(shape)):
            sizes = [
                one.inputs[leaf][axis] for one in passes if len(one.inputs) > leaf and len(one.inputs[leaf]) > axis
            ]
            if len(sizes) == len(passes) and all(n >= one.length for n, one in zip(sizes, passes, strict=True)):
                ways.append(sizes)
    return min(ways, key=sum) if ways else [one.length for one in passes]


def padded_seconds(said: Seconds | None, passes: Sequence[Pass], frame_shift: Seconds) -> Seconds | None:
    """The one length that all speech is padded to, None where inputs grow with the speech.

    `said` is what the recogniser says of itself, if it does; else the inputs' longest axis tells, where it has room
    for the true lengths. 0 where inputs do not change with the speech and their length is not told by either.
    """
    if said is not None or len({one.length for one in passes}) == 1:
        return said
    if not passes[0].inputs or len({one.inputs for one in passes}) > 1:
        return None
    longest = set(input_steps(passes))
    return longest.pop() * frame_shift if len(longest) == 1 else 0.0


def convolutions(module: nn.Module) -> list[str]:
    """The names of the convolutions in a module."""
    return [name for name, part in module.named_modules() if name and isinstance(part, CONVOLUTIONS)]


def frame_axes(module: nn.Module, shapes: Mapping[str, Shape]) -> dict[str, set[int]]:
    """The axes that run over frames in outputs whose shapes do not change with the speech.

    What convolutions put out tells how many frames there are; elsewhere an axis of such a size is time. Where units
    are as many, (batch, frames, units) is what modules other than convolutions have.
    """
    times = {shapes[name][2] for name in convolutions(module) if len(shapes.get(name, ())) > 2}
    found: dict[str, set[int]] = {}
    for name, shape in shapes.items():
        part = module.get_submodule(name)
        if isinstance(part, CONVOLUTIONS):
            found[name] = {2} & set(range(len(shape)))
            continue
        axes = {i for i, size in enumerate(shape) if size in times}
        if isinstance(part, UNITS_LAST):
            axes.discard(len(shape) - 1)
        found[name] = {1} if len(shape) == 3 and 1 in axes else axes
    return found
