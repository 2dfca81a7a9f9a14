"""Forward passes of a batch: their arguments where the model is, their outputs side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

__all__ = ["Pass", "stacked", "to_model"]

Pass = Mapping[str, Tensor]
"""The arguments of one forward pass, by name."""


def to_model(arguments: Pass, module: nn.Module) -> dict[str, Tensor]:
    """The arguments on the model's device, real numbers in its precision."""
    here = next(module.parameters())
    return {
        key: value.to(here.device, here.dtype if value.is_floating_point() else None)
        for key, value in arguments.items()
    }


def stacked(parts: Sequence[Tensor]) -> Tensor:
    """Outputs of several passes as one, each padded with zeros to the longest."""
    if len(parts) == 1:
        return parts[0]
    shape = [max(sizes) for sizes in zip(*(part.shape for part in parts), strict=True)]
    whole = parts[0].new_zeros([sum(part.shape[0] for part in parts), *shape[1:]])
    row = 0
    for part in parts:
        whole[(slice(row, row + part.shape[0]), *(slice(n) for n in part.shape[1:]))] = part
        row += part.shape[0]
    return whole
