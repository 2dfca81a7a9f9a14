"""What capture needs to know of a recogniser and its layers: the only types that recognisers and corpora share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from torch import Tensor, nn

__all__ = ["Layer", "Recogniser", "Seconds"]

Seconds = float


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer of a recogniser that can be looked at.

    `name` is the dotted module name; `units` its features; `stride` the seconds from one of its frames to the next;
    `time_axis` the axis of its output that runs over frames: 1 for (batch, frames, units), 2 for
    (batch, channels, frames[, frequencies]), where channels × frequencies become the units.
    """

    name: str
    units: int
    stride: Seconds
    time_axis: int
    kind: str


@runtime_checkable
class Recogniser(Protocol):
    """A recogniser as capture sees it: features in, a forward pass with true lengths, layers by name."""

    @property
    def module(self) -> nn.Module:
        """The torch module whose submodules are hooked."""
        ...

    @property
    def frame_shift(self) -> Seconds:
        """Seconds from one input frame to the next."""
        ...

    def forward(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Padded features (batch, frames, bins) and true lengths to outputs (batch, frames, tokens), lengths."""
        ...

    def layers(self) -> Sequence[Layer]:
        """The layers worth looking at, from input to output: one per block."""
        ...
