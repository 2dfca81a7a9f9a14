"""Forward passes of a batch: their arguments, and these where the model is."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from otoscope.errors import CaptureError

__all__ = ["Pass", "Passes", "to_model"]

Pass = Mapping[str, Tensor]
"""The arguments of one forward pass, by name."""


class Passes(list[dict[str, Tensor]]):
    """The arguments of one forward pass after another.

    `unfed` is why a decoder gets nothing in them, None where it does or there is none: an encoder runs all the same.
    """

    unfed: CaptureError | None = None


def to_model(arguments: Pass, module: nn.Module) -> dict[str, Tensor]:
    """The arguments on the model's device, real numbers in its precision."""
    here = next(module.parameters())
    return {
        key: value.to(here.device, here.dtype if value.is_floating_point() else None)
        for key, value in arguments.items()
    }
