"""Running a module in the midst of something else, and leaving it as it was found."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn

__all__ = ["undisturbed"]


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
