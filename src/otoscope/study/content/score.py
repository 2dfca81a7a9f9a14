"""How well a label is read off a layer."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from otoscope.study.content.label import Floats

__all__ = ["Score", "block_sums", "without_each"]


@dataclass(frozen=True)
class Score:
    """A value with its 95 % interval; `chance` is what a layer that says nothing reads, `note` what to know of it."""

    value: float
    low: float = math.nan
    high: float = math.nan
    chance: float = 0.0
    note: str = ""


def block_sums(x: Tensor, blocks: Tensor) -> Floats:
    """Sums of (n, columns) over the rows of each block, (blocks, columns), for blocks numbered from 0."""
    sums = torch.zeros(int(blocks.max()) + 1, x.shape[1], dtype=torch.float64)
    found: Floats = sums.index_add_(0, blocks, x.double()).numpy()
    return found


def without_each(sums: Floats) -> Floats:
    """What all blocks but one add up to, for each block."""
    left: Floats = sums.sum(0) - sums
    return left
