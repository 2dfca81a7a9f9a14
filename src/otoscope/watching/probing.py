"""The layers of a probe set in the midst of training, with the model left as it was found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from otoscope.capture import Batch, Layer, Seconds, TorchRecogniser, to_frames, to_grid
from otoscope.capture.undisturbed import undisturbed

__all__ = ["ProbeBatch", "probe_layers", "synchronise", "undisturbed"]

ProbeBatch = tuple[Any, Tensor]
"""What the recogniser's `forward` takes, for several utterances, and their true lengths in input frames."""


def probe_layers(
    recogniser: TorchRecogniser, batches: Sequence[ProbeBatch], layers: Sequence[Layer], *, grid: Seconds
) -> tuple[dict[str, Tensor], list[int]]:
    """Each layer's true frames × units on the grid, over all utterances, float32 on the CPU, and the lengths."""
    by_name = {layer.name: layer for layer in layers}
    parts: list[Mapping[str, Tensor]] = []
    lengths: list[int] = []
    with undisturbed(recogniser.module):
        for inputs, true in batches:
            seen = recogniser.outputs(Batch(inputs, true), [layer.name for layer in layers])
            outputs = {layer.name: to_frames(seen[layer.name], layer, true, recogniser.frame_shift) for layer in layers}
            views, counts = to_grid(outputs, by_name, grid=grid)
            parts.append({name: x.float().cpu() for name, x in views.items()})
            lengths += counts
    return {name: torch.cat([part[name] for part in parts]) for name in by_name}, lengths


def synchronise(module: nn.Module) -> None:
    """Waits for what the module's GPU still has to do, so that a clock tells training from watching."""
    for device in {p.device for p in module.parameters() if p.device.type == "cuda"}:
        torch.cuda.synchronize(device)
