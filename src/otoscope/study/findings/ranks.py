"""Ranks and their correlation, weighed."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["correlation", "rank_correlation", "ranks"]

Floats = npt.NDArray[np.float64]

NOTHING = 1e-9
"""Of a variance: a smaller share that is left is rounding."""


def ranks(x: Floats, weights: Floats | None = None) -> Floats:
    """The weight of all values that are smaller, and half the weight of those that are equal, itself included.

    With equal weights these are ranks less ½, equal values having the mean of theirs.

    >>> ranks(np.array([0.3, 0.1, 0.3])).tolist()
    [2.0, 0.5, 2.0]
    """
    w = np.ones(len(x)) if weights is None else weights
    below: Floats = (x[None, :] < x[:, None]) @ w + 0.5 * (x[None, :] == x[:, None]) @ w
    return below


def correlation(x: Floats, y: Floats, weights: Floats | None = None) -> float:
    """Pearson's, of weighed values; NaN where one of them does not vary.

    >>> correlation(np.array([1.0, 2.0, 3.0]), np.array([2.0, 4.0, 6.0]))
    1.0
    """
    w = np.full(len(x), 1 / len(x)) if weights is None else weights / weights.sum()
    dx, dy = x - w @ x, y - w @ y
    xx, yy = w @ dx**2, w @ dy**2
    if xx <= NOTHING * (w @ x**2) or yy <= NOTHING * (w @ y**2):
        return float("nan")
    return float((w @ (dx * dy)) / np.sqrt(xx * yy))


def rank_correlation(x: Floats, y: Floats, weights: Floats | None = None) -> float:
    """Spearman's ρ: the correlation of ranks, from −1 to 1; NaN where all x or all y are equal.

    Arguments:
        x, y: (n,).
        weights: (n,) how much each pair of values counts, in their ranks as in their correlation; all alike by default.

    >>> rank_correlation(np.array([1.0, 2.0, 9.0]), np.array([0.5, 0.1, 0.0]))
    -1.0
    """
    return correlation(ranks(x, weights), ranks(y, weights), weights)
