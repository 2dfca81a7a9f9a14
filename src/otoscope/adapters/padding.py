"""Outputs of several forward passes as one."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["joined"]


def joined(parts: Sequence[Tensor], axis: int = 0) -> Tensor:
    """Outputs of several passes as those of one, padded with zeros to the longest; utterances are on this axis.

    >>> joined([torch.ones(1, 1, 2), torch.ones(2, 2, 2)])[:, :, 0]
    tensor([[1., 0.],
            [1., 1.],
            [1., 1.]])
    """
    if len(parts) == 1:
        return parts[0]
    longest = [max(sizes) for sizes in zip(*(part.shape for part in parts), strict=True)]
    padded = []
    for part in parts:
        whole = part.new_zeros([part.shape[i] if i == axis else n for i, n in enumerate(longest)])
        whole[tuple(slice(n) for n in part.shape)] = part
        padded.append(whole)
    return torch.cat(padded, axis)
