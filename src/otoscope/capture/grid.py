"""Layers with frame rates of their own on one grid: means over the same stretches of speech."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from otoscope.capture.types import Layer, Seconds
from otoscope.errors import CaptureError

__all__ = ["common_grid", "to_grid"]

LEAST_SHARE = 0.5
"""Of a cell that a layer's frames must cover: cells at the ends of an utterance average what there is."""

ROUNDING = 1e-6
"""In cells: strides are sums of floating-point numbers."""


def common_grid(layers: Sequence[Layer]) -> Seconds:
    """The grid a comparison of these layers runs on: the coarsest of their strides, in seconds."""
    return max(layer.stride for layer in layers)


def to_grid(
    outputs: Mapping[str, tuple[Tensor, Sequence[int]]], layers: Mapping[str, Layer], *, grid: Seconds
) -> tuple[dict[str, Tensor], list[int]]:
    """Layers as views on one grid: the same utterances, the same stretches of speech in each row.

    Frame n of a layer is centred at n · stride + window / 2 and stands for one stride about it. The cells of the grid
    are centred where the frames of the coarsest layer are, so that this one stays as it is; in another layer a cell is
    the mean of the frames that it overlaps, weighed by how much. Cells that some layer covers by less than half are
    left out, at the ends of an utterance. Nothing is interpolated up.

    Arguments:
        outputs: by name each layer's true frames (frames, units), one utterance after another, and their lengths.
        layers: by the same names, with stride and window.
        grid: seconds from one cell to the next, at least the coarsest stride.

    Returns:
        The views (cells, units) by name, in float32 at the least, and each utterance's cells.

    Raises:
        CaptureError: a grid finer than a layer; layers that disagree about how long an utterance is; an utterance
            without a cell.

    >>> fine, coarse = torch.tensor([[1.0], [2.0], [4.0], [8.0]]), torch.tensor([[5.0], [6.0]])
    >>> rates = {"fine": Layer("fine", 1, 0.02, 1, ""), "coarse": Layer("coarse", 1, 0.04, 1, "")}
    >>> views, lengths = to_grid({"fine": (fine, [4]), "coarse": (coarse, [2])}, rates, grid=0.04)
    >>> views["fine"].flatten().tolist()  # frame 0 and half of 1; half of 1, frame 2, half of 3
    [1.3333333730697632, 4.5]
    """
    coarsest = max(layer.stride for layer in layers.values())
    if grid < coarsest and not math.isclose(grid, coarsest):
        raise CaptureError(
            f"a grid of {grid:g} s is finer than a layer's stride of {coarsest:g} s, and frames are never "
            "interpolated: choose a grid at least as coarse as the coarsest layer"
        )
    _check_durations(outputs, layers, grid)
    origin = max(layer.window / 2 for layer in layers.values() if math.isclose(layer.stride, coarsest))
    keys = {name: (layers[name].stride, layers[name].window, *lengths) for name, (_, lengths) in outputs.items()}
    cells = {keys[name]: _Cells.of(outputs[name][1], layers[name], grid, origin) for name in outputs}
    kept = _in_all(list(cells.values()))
    lengths = [int(mask.sum()) for mask in kept]
    if 0 in lengths:
        raise CaptureError(
            f"utterance {lengths.index(0) + 1} of a batch is too short for these layers: none of its stretches of "
            f"{1000 * grid:g} ms has frames of all. Leave the shortest utterances out"
        )
    rows = {key: own.rows(kept) for key, own in cells.items()}
    return {name: cells[keys[name]].means(x, rows[keys[name]]) for name, (x, _) in outputs.items()}, lengths


@dataclass(frozen=True)
class _Cells:
    """Which frames of a layer lie in which cells, one utterance after another.

    `first` (frames,) is the cell in which a frame begins, `inside` the part of a cell that it covers there and `after`
    what it covers of the next; `share` (cells,) is how much of each cell frames cover, `counts` the cells of each
    utterance. All None but `counts` and `share` where each frame is a cell.
    """

    counts: Sequence[int]
    share: Tensor
    first: Tensor | None
    inside: Tensor | None
    after: Tensor | None

    @classmethod
    def of(cls, lengths: Sequence[int], layer: Layer, grid: Seconds, origin: Seconds) -> _Cells:
        offset = (layer.window / 2 - origin) / grid  # of the first frame's centre from the first cell's, in cells
        width = layer.stride / grid
        if abs(offset) < ROUNDING and abs(width - 1) < ROUNDING:
            return cls(list(lengths), torch.ones(sum(lengths), dtype=torch.float64), None, None, None)
        begins = torch.cat([offset + 0.5 + (torch.arange(n, dtype=torch.float64) - 0.5) * width for n in lengths])
        counts = [max(0, math.ceil(offset + 0.5 + (n - 0.5) * width - ROUNDING)) if n else 0 for n in lengths]
        cell = torch.floor(begins + ROUNDING)
        inside = torch.minimum(begins + width, cell + 1) - begins
        after = (width - inside).clamp(min=0)
        # What lies before the first cell is left out, and nothing lies behind the last but rounding.
        inside, after = torch.where(cell >= 0, inside, 0.0), torch.where(cell >= -1, after, 0.0)
        base = torch.tensor([0, *counts[:-1]]).cumsum(0).repeat_interleave(torch.tensor(lengths))
        last = torch.tensor(counts).repeat_interleave(torch.tensor(lengths)) - 1
        after = torch.where(cell + 1 <= last, after, 0.0)
        first = cell.long().clamp(min=-1)
        share = torch.zeros(sum(counts) + 1, dtype=torch.float64)
        share.index_add_(0, (base + first).clamp(min=0), inside).index_add_(0, base + first + 1, after)
        return cls(counts, share[:-1], base + first, inside, after)

    def covered(self) -> list[Tensor]:
        """Of each utterance, which cells are covered by enough."""
        return list(torch.split(self.share >= LEAST_SHARE - ROUNDING, list(self.counts)))

    def rows(self, kept: Sequence[Tensor]) -> Tensor | None:
        """The cells that are kept, None for all of them."""
        masks = [
            torch.nn.functional.pad(mask, (0, count - len(mask))) for mask, count in zip(kept, self.counts, strict=True)
        ]
        every = torch.cat(masks)
        return None if bool(every.all()) else every.nonzero()[:, 0]

    def means(self, frames: Tensor, rows: Tensor | None) -> Tensor:
        """The mean of the frames in each cell that is kept."""
        # Half precision would lose the differences between frames to their mean.
        x = frames.to(torch.promote_types(frames.dtype, torch.float32))
        if self.first is not None and self.inside is not None and self.after is not None:
            first, inside, after = (part.to(x.device) for part in (self.first, self.inside, self.after))
            sums = x.new_zeros(len(self.share) + 1, x.shape[1])
            sums.index_add_(0, first.clamp(min=0), x * inside.to(x.dtype)[:, None])
            sums.index_add_(0, first + 1, x * after.to(x.dtype)[:, None])
            x = sums[:-1] / self.share.clamp(min=ROUNDING).to(x)[:, None]
        return x if rows is None else x[rows.to(x.device)]


def _in_all(cells: Sequence[_Cells]) -> list[Tensor]:
    """Of each utterance, the cells that every layer covers by enough."""
    kept = []
    for masks in zip(*(own.covered() for own in cells), strict=True):
        shortest = min(map(len, masks))
        kept.append(torch.stack([mask[:shortest] for mask in masks]).all(0))
    return kept


def _check_durations(
    outputs: Mapping[str, tuple[Tensor, Sequence[int]]], layers: Mapping[str, Layer], grid: Seconds
) -> None:
    """Refuses layers whose frames cannot be of one utterance: no duration, give or take a cell, fits them all."""
    at_least, below = [], []
    for name, (_, lengths) in outputs.items():
        layer, n = layers[name], torch.tensor(lengths, dtype=torch.float64)
        shortest = (n - 1) * layer.stride + layer.window
        at_least.append(shortest)
        below.append(shortest + layer.stride)
    gap = torch.stack(at_least).max(0).values - torch.stack(below).min(0).values
    if float(gap.max()) > grid:
        worst = int(gap.argmax())
        seen = {name: lengths[worst] for name, (_, lengths) in outputs.items()}
        raise CaptureError(
            f"layers disagree about the length of one utterance on a grid of {grid:g} s: frames by layer are {seen}. "
            "Check the strides: frames × stride should be the utterance's duration in every layer"
        )
