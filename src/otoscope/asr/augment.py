"""SpecAugment: stretches of time and bands of frequency blanked out in training (Park et al. 2019)."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["spec_augment"]


def spec_augment(
    features: Tensor,
    lengths: Tensor,
    *,
    frequency_masks: int = 2,
    frequency_width: int = 20,
    time_masks: int = 2,
    time_width: int = 25,
    time_share: float = 0.15,
) -> Tensor:
    """A masked copy of padded features (batch, frames, bins); masked cells become 0, the mean of normalised features.

    Each utterance gets `frequency_masks` bands of up to `frequency_width` bins and `time_masks` stretches of up to
    `time_width` frames, no longer than `time_share` of its true length. Draws from torch's global generator.

    >>> spec_augment(torch.ones(2, 100, 80), torch.tensor([100, 60])).shape
    torch.Size([2, 100, 80])
    """
    batch, frames, bins = features.shape
    keep = torch.ones(batch, frames, bins, dtype=torch.bool)
    frame, band = torch.arange(frames), torch.arange(bins)
    for _ in range(frequency_masks):
        width = torch.randint(0, frequency_width + 1, (batch, 1))
        start = (torch.rand(batch, 1) * (bins - width + 1)).long()
        keep &= ~((band >= start) & (band < start + width))[:, None, :]
    limit = (lengths[:, None] * time_share).long().clamp(max=time_width)
    for _ in range(time_masks):
        width = (torch.rand(batch, 1) * (limit + 1)).long()
        start = (torch.rand(batch, 1) * (lengths[:, None] - width + 1)).long()
        keep &= ~((frame >= start) & (frame < start + width))[:, :, None]
    return features * keep
