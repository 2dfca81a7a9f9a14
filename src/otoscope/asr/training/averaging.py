"""Averages of weights, which often do better than the last ones: of checkpoints, or moving along with training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from otoscope.asr.recogniser import ReferenceRecogniser

__all__ = ["MovingAverage", "mean_of"]


def mean_of(checkpoints: Sequence[Path]) -> ReferenceRecogniser:
    """A recogniser whose weights are the mean of those of one or more checkpoints of one run.

    One file is read at a time, and sums are float64: the order does not matter.
    """
    sums: dict[str, Tensor] = {}
    for path in checkpoints:
        recogniser = ReferenceRecogniser.load(path)
        for name, weight in recogniser.module.state_dict().items():
            sums[name] = sums[name] + weight.double() if name in sums else weight.double()
    own = recogniser.module.state_dict()
    recogniser.module.load_state_dict({n: (total / len(checkpoints)).to(own[n].dtype) for n, total in sums.items()})
    return recogniser


class MovingAverage:
    """An exponential moving average of a module's parameters (Polyak & Juditsky 1992): w̄ ← d w̄ + (1 − d) w.

    d at update t is min(decay, (1 + t) / (10 + t)), so that the first weights, which are random, are soon forgotten.

    >>> layer = nn.Linear(1, 1, bias=False)
    >>> moving = MovingAverage(layer, 0.999)
    >>> torch.equal(moving.weights["weight"], layer.weight)
    True
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        """Begins with the weights as they are."""
        self.decay = decay
        self.weights = {name: p.detach().clone() for name, p in module.named_parameters()}

    @torch.no_grad()
    def update(self, module: nn.Module, step: int) -> None:
        """Takes in the weights after update `step`, counted from 1."""
        decay = min(self.decay, (1 + step) / (10 + step))
        for name, parameter in module.named_parameters():
            self.weights[name].lerp_(parameter, 1 - decay)

    @torch.no_grad()
    def apply(self, module: nn.Module) -> None:
        """Gives a module of the same shape the averaged weights."""
        for name, parameter in module.named_parameters():
            parameter.copy_(self.weights[name])
