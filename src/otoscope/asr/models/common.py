"""What the reference recognisers share: checks of sizes, frame masks, lengths, log-probabilities."""

from __future__ import annotations

import torch
from torch import Tensor

from otoscope.asr.settings import expect, is_number, is_whole

__all__ = ["STRIDE", "check_rate", "check_sizes", "frame_mask", "log_probabilities", "strided"]

STRIDE = 4
"""Input frames to one output frame, in every reference recogniser: 40 ms at a frame shift of 10 ms."""


def check_sizes(*, dropout: float, **sizes: int) -> None:
    """Raises StudyError unless every size is a whole number of at least 1, and `dropout` a rate from 0 to below 1."""
    for name, value in sizes.items():
        expect(is_whole(value, 1), name, value, "a whole number of at least 1")
    check_rate("dropout", dropout)


def check_rate(name: str, value: float) -> None:
    """Raises StudyError unless a value is a rate from 0 to below 1."""
    expect(is_number(value) and 0 <= value < 1, name, value, "a rate of at least 0 and below 1")


def frame_mask(lengths: Tensor, frames: int) -> Tensor:
    """True where a frame belongs to its utterance: lengths (batch,) to (batch, frames)."""
    return torch.arange(frames, device=lengths.device) < lengths[:, None]


def strided(lengths: Tensor, stride: int) -> Tensor:
    """Frames left after a 'same'-padded convolution of this stride: ⌈length / stride⌉."""
    return (lengths + stride - 1) // stride


def log_probabilities(scores: Tensor) -> Tensor:
    """The log-softmax over the last axis, in float32 at the least: bfloat16 keeps three digits, too few for a loss."""
    return scores.log_softmax(dim=-1, dtype=torch.promote_types(scores.dtype, torch.float32))
