"""The layers of a probe set in the midst of training, with the model left as it was found."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from otoscope.capture import Batch, Layer, Seconds, TorchRecogniser, to_frames, to_grid

__all__ = ["ProbeBatch", "probe_layers", "synchronise", "undisturbed"]

ProbeBatch = tuple[Any, Tensor]
"""What the recogniser's `forward` takes, for several utterances, and their true lengths in input frames."""


@contextmanager
def undisturbed(module: nn.Module) -> Iterator[None]:
    """A block in eval mode and without gradients, after which training goes on as if it had not been.

    Put back are the mode of every submodule (some may be frozen in eval mode), buffers that the block wrote to, and
    the generators of torch (on the CPU and the module's GPUs), numpy and Python.

    >>> model = nn.Sequential(nn.Linear(2, 2), nn.Dropout().eval())
    >>> with undisturbed(model):
    ...     model.training, torch.is_grad_enabled()
    (False, False)
    >>> model.training, model[1].training
    (True, False)
    """
    modes = [(part, part.training) for part in module.modules()]
    buffers = [(buffer, buffer.detach().clone()) for buffer in module.buffers()]
    gpus = sorted({p.device.index for p in module.parameters() if p.device.type == "cuda"})
    of_python, of_numpy = random.getstate(), np.random.get_state()
    module.eval()
    try:
        # No inference mode: a position table that the model makes and keeps here could not be trained through.
        with torch.random.fork_rng(gpus), torch.inference_mode(False), torch.no_grad():
            yield
    finally:
        for part, training in modes:
            part.training = training
        for buffer, before in buffers:
            if not torch.equal(buffer, before):
                with torch.inference_mode(buffer.is_inference()), torch.no_grad():
                    buffer.copy_(before)
        random.setstate(of_python)
        np.random.set_state(of_numpy)


def probe_layers(
    recogniser: TorchRecogniser, batches: Sequence[ProbeBatch], layers: Sequence[Layer], *, grid: Seconds
) -> tuple[dict[str, Tensor], list[int]]:
    """Each layer's true frames × units on the grid, over all utterances, float32 on the CPU, and the lengths."""
    strides = {layer.name: layer.stride for layer in layers}
    parts: list[Mapping[str, Tensor]] = []
    lengths: list[int] = []
    with undisturbed(recogniser.module):
        for inputs, true in batches:
            seen = recogniser.outputs(Batch(inputs, true), [layer.name for layer in layers])
            outputs = {layer.name: to_frames(seen[layer.name], layer, true, recogniser.frame_shift) for layer in layers}
            views, counts = to_grid(outputs, strides, grid=grid)
            parts.append({name: x.float().cpu() for name, x in views.items()})
            lengths += counts
    return {name: torch.cat([part[name] for part in parts]) for name in strides}, lengths


def synchronise(module: nn.Module) -> None:
    """Waits for what the module's GPU still has to do, so that a clock tells training from watching."""
    for device in {p.device for p in module.parameters() if p.device.type == "cuda"}:
        torch.cuda.synchronize(device)
