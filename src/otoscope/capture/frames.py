"""From padded layer outputs to frames × units, padding dropped."""

from __future__ import annotations

import torch
from torch import Tensor

from otoscope.capture.types import Layer, Seconds
from otoscope.errors import CaptureError

__all__ = ["to_frames"]


def to_frames(output: Tensor, layer: Layer, lengths: Tensor, frame_shift: Seconds) -> tuple[Tensor, list[int]]:
    """A layer's padded output to its true frames, one utterance after another, (frames, units), and their lengths.

    `lengths` counts each utterance's input frames, `frame_shift` seconds apart; the layer has `layer.frames` of its
    own. Channels × frequencies are flattened into units.
    Raises CaptureError where the output is not what `layer` says.
    """
    if output.dim() not in (3, 4) or (output.dim() == 4 and layer.time_axis != 2):
        raise CaptureError(
            f"layer {layer.name} put out a tensor of shape {tuple(output.shape)}; expected (batch, frames, units) or "
            "(batch, channels, frames[, frequencies])"
        )
    x = output.movedim(layer.time_axis, 1 if layer.time_axis else 0)
    x = x.transpose(0, 1) if layer.time_axis == 0 else x
    x = x.flatten(2)
    true = layer.frames(lengths.tolist(), frame_shift)
    if x.shape[0] != len(true) or x.shape[1] < max(true) or x.shape[2] != layer.units:
        raise CaptureError(
            f"layer {layer.name} put out {x.shape[0]} utterances × {x.shape[1]} frames × {x.shape[2]} units; expected "
            f"{len(true)} × at least {max(true)} × {layer.units}, for a stride of {layer.stride:g} s"
        )
    return torch.cat([row[:n] for row, n in zip(x, true, strict=True)]), true
