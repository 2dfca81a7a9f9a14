"""Correlations of ranks: weighed, and with what follows the course of training taken out."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["beyond_trend", "correlation", "rank_correlation", "ranks"]

Floats = npt.NDArray[np.float64]

TREND = 3
"""Degree of the curve in a trend's ranks that `beyond_trend` takes out."""

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


def beyond_trend(x: Floats, y: Floats, trend: Floats, degree: int = TREND) -> float:
    """Partial rank correlation of x and y given a trend, such as the training step.

    Formula: the correlation of what is left of the ranks of x and of y after least squares on 1, t, t², t³ of the
    trend's ranks t. A straight line (degree 1) is what a partial correlation of ranks commonly means, and it is not
    enough here: where x and y both level off, what is left of both bends alike, and independent noise about such
    curves reads 0.2 to 0.5. About a cubic it reads 0.0 to 0.2.

    Arguments:
        x, y, trend: (n,). Only the order of the trend matters: steps or their logarithm are the same.
        degree: of the curve.

    Returns:
        From −1 to 1. NaN for no more than degree + 2 values, and where the trend alone tells the ranks of x or of y.

    >>> t = np.arange(12.0)
    >>> noise = np.tile([0.0, 3.0, -3.0], 4)
    >>> round(beyond_trend(t + noise, t - noise, t), 2)
    -0.98
    """
    if len(x) <= degree + 2:
        return float("nan")
    t = ranks(trend)
    t = (t - t.mean()) / max(t.std(), 1.0)
    curve, _ = np.linalg.qr(np.vander(t, degree + 1))
    left = []
    for r in (ranks(x), ranks(y)):
        rest = r - curve @ (curve.T @ r)
        if rest @ rest <= NOTHING * (r @ r):
            return float("nan")
        left.append(rest)
    a, b = left
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))
