"""A torch module as a recogniser: hooks see its layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from otoscope.capture.hooks import capture
from otoscope.capture.types import Batch, Layer, Seconds, Speech
from otoscope.errors import CaptureError

__all__ = ["TorchRecogniser"]


class TorchRecogniser:
    """Base of recognisers that are torch modules: the protocol `otoscope.Recogniser`, with hooks for the layers.

    A subclass has `module` and `frame_shift`, and writes `layers` and `forward`, or `run` where a forward pass takes
    more than inputs and lengths. With `prepare` it can be given audio, as `otoscope.measure` does; without, batches of
    features. [An example](../examples/own_model.py).

    >>> import torch
    >>> class Own(TorchRecogniser):
    ...     module, frame_shift = nn.Sequential(nn.Linear(80, 8), nn.ReLU()), 0.01
    ...     def forward(self, inputs, lengths):
    ...         return self.module(inputs)
    ...     def layers(self):
    ...         return [Layer("0", units=8, stride=0.01, time_axis=1, kind="linear")]
    >>> Own().outputs(Batch(torch.zeros(1, 50, 80), torch.tensor([50])), ["0"])["0"].shape
    torch.Size([1, 50, 8])
    """

    module: nn.Module
    frame_shift: Seconds

    def prepare(self, speech: Sequence[Speech]) -> Batch:
        """Utterances as padded inputs with true lengths. Raises CaptureError where the subclass does not say how."""
        raise CaptureError(
            f"{type(self).__name__} does not say how audio becomes its input: write "
            "prepare(self, speech: Sequence[Speech]) -> Batch, or give batches of features"
        )

    def layers(self) -> Sequence[Layer]:
        """The layers worth looking at, from input to output: one per block."""
        raise NotImplementedError

    def forward(self, inputs: Any, lengths: Tensor) -> Any:
        """One forward pass of padded inputs with their true lengths."""
        raise NotImplementedError

    def run(self, batch: Batch) -> Any:
        """One forward pass of a batch."""
        return self.forward(batch.inputs, batch.lengths)

    def outputs(self, batch: Batch, layers: Sequence[str]) -> Mapping[str, Tensor]:
        """One forward pass, and what the named layers put out in it. Raises CaptureError for one that did not fire."""
        with capture(self.module, layers) as captured:
            self.run(batch)
            return captured.take()
