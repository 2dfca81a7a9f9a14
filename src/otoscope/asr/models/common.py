"""What the reference recognisers share: frame masks and the strided convolutions at the input."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from otoscope.asr.settings import expect, is_number, is_whole

__all__ = ["STRIDE", "Subsample", "check_sizes", "frame_mask", "strided"]

STRIDE = 4
"""Input frames to one output frame, in every reference recogniser: 40 ms at a frame shift of 10 ms."""


def check_sizes(*, dropout: float, **sizes: int) -> None:
    """Raises StudyError unless every size is a whole number of at least 1, and `dropout` a rate from 0 to below 1."""
    for name, value in sizes.items():
        expect(is_whole(value, 1), name, value, "a whole number of at least 1")
    expect(is_number(dropout) and 0 <= dropout < 1, "dropout", dropout, "a rate of at least 0 and below 1")


def frame_mask(lengths: Tensor, frames: int) -> Tensor:
    """True where a frame belongs to its utterance: lengths (batch,) to (batch, frames)."""
    return torch.arange(frames, device=lengths.device) < lengths[:, None]


def strided(lengths: Tensor, stride: int) -> Tensor:
    """Frames left after a 'same'-padded convolution of this stride: ⌈length / stride⌉."""
    return (lengths + stride - 1) // stride


class Subsample(nn.Module):
    """Two convolutions of stride 2 over time: (batch, frames, bins) to (batch, ⌈frames / 4⌉, units).

    Frames beyond an utterance's length are set to zero before each convolution, so that they act as the zero padding
    at the end of a lone utterance does.
    """

    def __init__(self, bins: int, units: int, kernel: int = 5) -> None:
        """`bins` features in, `units` out, kernels of `kernel` frames."""
        super().__init__()
        self.first = nn.Conv1d(bins, units, kernel, stride=2, padding=kernel // 2)
        self.second = nn.Conv1d(units, units, kernel, stride=2, padding=kernel // 2)
        self.norm = nn.LayerNorm(units)

    def forward(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Padded features (batch, frames, bins) and lengths to hidden frames and their lengths."""
        x = features.transpose(1, 2)
        for convolution in (self.first, self.second):
            x = x * frame_mask(lengths, x.shape[2])[:, None]
            x = nn.functional.gelu(convolution(x))
            lengths = strided(lengths, 2)
        return self.norm(x.transpose(1, 2)), lengths
