"""SpecAugment: stretches of time and bands of frequency blanked out in training (Park et al. 2019)."""

from __future__ import annotations

import numpy as np
from torch import Tensor

__all__ = ["spec_augment"]


def spec_augment(
    features: Tensor,
    random: np.random.Generator,
    *,
    frequency_masks: int = 2,
    frequency_width: int = 20,
    time_masks: int = 2,
    time_width: int = 25,
    time_share: float = 0.15,
) -> Tensor:
    """A masked copy of one utterance's features; masked cells become 0, the mean of normalised features.

    Args:
        features: (frames, bins), without padding.
        random: where the masks are drawn from. A generator of the utterance's own makes them independent of the
            batch, of the process and of the thread that it is in.
        frequency_masks: the number of bands of up to `frequency_width` bins.
        time_masks: the number of stretches of up to `time_width` frames, no longer than `time_share` of the
            utterance.

    Example:
        >>> import torch
        >>> masked = spec_augment(torch.ones(100, 80), np.random.default_rng(0))
        >>> masked.shape, bool((masked == 0).any())
        (torch.Size([100, 80]), True)
    """
    masked = features.clone()
    frames, bins = features.shape
    for _ in range(frequency_masks):
        start, width = _stretch(bins, min(frequency_width, bins), random)
        masked[:, start : start + width] = 0
    for _ in range(time_masks):
        start, width = _stretch(frames, min(time_width, int(frames * time_share)), random)
        masked[start : start + width] = 0
    return masked


def _stretch(size: int, widest: int, random: np.random.Generator) -> tuple[int, int]:
    """Start and width of a stretch of up to `widest` cells somewhere in `size`."""
    width = int(random.integers(widest + 1))
    return int(random.integers(size - width + 1)), width
