"""Layers from names alone: units, axis, stride and window found out by running the recogniser."""

from __future__ import annotations

from collections.abc import Sequence

from otoscope.capture.discovery.looking import looked_at, noise
from otoscope.capture.hooks import select
from otoscope.capture.recogniser import TorchRecogniser
from otoscope.capture.types import Layer, Speech
from otoscope.errors import CaptureError

__all__ = ["infer_layers"]


def infer_layers(recogniser: TorchRecogniser, names: Sequence[str], speech: Speech | None = None) -> list[Layer]:
    """Layers for submodules, in the order of the module tree, with units, stride, window and axes found by running.

    The recogniser runs on the utterance and on pieces of it: axes that grow with the speech, the text or the batch are
    told from units, however many these are, and stride and window are exact. It needs `prepare`, and is left as it was.

    Arguments:
        recogniser: a torch module as a recogniser. One that pads all speech to one length may say so by an attribute
            `padded_seconds`.
        names: names or globs of submodules, see `select`.
        speech: a real utterance with its text. Default: two seconds of quiet noise, which shapes do not mind.

    Returns:
        A `Layer` for each submodule; its kind is its class.

    Raises:
        CaptureError: a name that matches nothing; a submodule that cannot be captured, and why.

    >>> import torch
    >>> from torch import nn
    >>> from otoscope.capture import Batch
    >>> class Own(TorchRecogniser):
    ...     module, frame_shift = nn.Conv1d(1, 8, 400, stride=320), 1 / 16_000
    ...     def prepare(self, speech):
    ...         audio = torch.stack([torch.from_numpy(one.audio) for one in speech])
    ...         return Batch(audio, torch.tensor([audio.shape[1]] * len(speech)))
    ...     def forward(self, audio, lengths):
    ...         return self.module(audio[:, None])
    >>> own = Own()
    >>> own.module = nn.Sequential(own.module)
    >>> infer_layers(own, ["0"])
    [Layer(name='0', units=8, stride=0.02, time_axis=2, kind='Conv1d', window=0.025, over='frames')]
    """
    chosen = select(recogniser.module, names)
    looked = looked_at(recogniser, chosen, speech or noise())
    layers: list[Layer] = []
    for name in chosen:
        layer = looked.layer(name, type(recogniser.module.get_submodule(name)).__name__)
        if isinstance(layer, str):
            raise CaptureError(f"layer {name} cannot be captured: {layer}. `otoscope layers` lists what can be")
        layers.append(layer)
    return layers
