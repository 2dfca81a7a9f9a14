"""From padded layer outputs to frames × units, padding dropped, on one common frame grid."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from otoscope.capture.types import Layer, Seconds
from otoscope.errors import CaptureError

__all__ = ["common_grid", "pool", "to_frames", "to_grid"]


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


def common_grid(layers: Sequence[Layer]) -> Seconds:
    """The grid a comparison of these layers runs on: the coarsest of their strides, in seconds."""
    return max(layer.stride for layer in layers)


def pool(frames: Tensor, lengths: Sequence[int], *, stride: Seconds, grid: Seconds) -> tuple[Tensor, list[int]]:
    """Average pooling inside each utterance from one frame every `stride` seconds to one every `grid` seconds.

    A frame goes to the grid cell in which it starts; the last cell of an utterance averages what there is. Never
    interpolates up: a grid finer than the stride raises CaptureError.

    >>> pool(torch.tensor([[1.0], [3.0], [5.0]]), [3], stride=0.02, grid=0.04)
    (tensor([[2.],
            [5.]]), [2])
    """
    if math.isclose(stride, grid):
        return frames, list(lengths)
    if grid < stride:
        raise CaptureError(
            f"a grid of {grid:g} s is finer than a layer's stride of {stride:g} s, and frames are never interpolated: "
            "choose a grid at least as coarse as the coarsest layer"
        )
    cells, counts, base = [], [], 0
    for n in lengths:
        cell = torch.floor(torch.arange(n, dtype=torch.float64) * (stride / grid) + 1e-9).long()
        cells.append(cell + base)
        counts.append(int(cell[-1]) + 1)
        base += counts[-1]
    index = torch.cat(cells).to(frames.device)
    sums = frames.new_zeros(base, frames.shape[1]).index_add_(0, index, frames)
    return sums / torch.bincount(index, minlength=base)[:, None].to(frames.dtype), counts


def to_grid(
    outputs: Mapping[str, tuple[Tensor, Sequence[int]]],
    strides: Mapping[str, Seconds],
    *,
    grid: Seconds,
    window: Seconds = 0.0,
) -> tuple[dict[str, Tensor], list[int]]:
    """Layers with strides of their own to views on one grid: the same utterances, the same frames in each.

    Where rounding leaves one layer a cell longer than another at the end of an utterance, the longer is cut; so it is
    where a layer needs a `window` of speech for a frame, and ends so much before one that pads. Raises CaptureError
    where they differ by more than that, or where an utterance is too short for a frame.
    """
    pooled = {name: pool(x, n, stride=strides[name], grid=grid) for name, (x, n) in outputs.items()}
    counts = torch.tensor([n for _, n in pooled.values()])
    shortest, longest = counts.min(dim=0).values, counts.max(dim=0).values
    if int((longest - shortest).max()) > 1 + math.ceil(window / grid):
        worst = int((longest - shortest).argmax())
        seen = {name: n[worst] for name, (_, n) in pooled.items()}
        raise CaptureError(
            f"layers disagree about the length of one utterance on a grid of {grid:g} s: frames by layer are {seen}. "
            "Check the strides: frames × stride should be the utterance's duration in every layer"
        )
    lengths: list[int] = shortest.tolist()
    if min(lengths) == 0:
        name = next(name for name, (_, own) in pooled.items() if 0 in own)
        raise CaptureError(
            f"an utterance is too short for a frame of {name}, and some layers take {1000 * window:g} ms of speech for "
            "one: leave the shortest utterances out"
        )
    views = {
        name: torch.cat([part[:n] for part, n in zip(torch.split(x, list(own)), lengths, strict=True)])
        for name, (x, own) in pooled.items()
    }
    return views, lengths
