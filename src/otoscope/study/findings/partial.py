"""Rank correlation of two quantities beyond what others explain of both."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from otoscope.study.findings.ranks import ranks

__all__ = ["LEAST_UNEXPLAINED", "partial_rank_correlation", "unexplained"]

Floats = npt.NDArray[np.float64]

LEAST_UNEXPLAINED = 1e-9
"""Share of the variance of ranks; below, what is left is rounding."""


def partial_rank_correlation(x: Floats, y: Floats, given: Sequence[Floats] = (), trend: int = 0) -> float:
    """Spearman's correlation of x and y, with what the ranks of `given` explain of both taken out.

    Formula: r = ⟨ρ_x, ρ_y⟩ / (‖ρ_x‖ ‖ρ_y‖), ρ the residuals of the centred ranks after least squares on the ranks of
    `given` (Kendall 1942; Spearman's r where nothing is given), and on a polynomial of this degree in the place of each
    value, where values come in an order: what levels off bends, and a line leaves the same bend in all that does. Ties
    have the mean of their ranks.

    Returns:
        From −1 to 1; 0 where `given` explains all of x, of which nothing is left to go with y; NaN where x does not
        vary, or where y does not beyond `given`: then nothing can be told.

    >>> x, y = np.array([1.0, 2.0, 3.0, 4.0]), np.array([1.0, 4.0, 9.0, 16.0])
    >>> round(partial_rank_correlation(x, y), 6)
    1.0
    """
    both = np.stack([ranks(x), ranks(y)], axis=1)
    variance = both.var(0)
    if not variance.all():
        return float("nan")
    left = _residuals(both, given, trend)
    shares = (left**2).sum(0) / (len(x) * variance)
    if shares[1] < LEAST_UNEXPLAINED:
        return float("nan")
    if shares[0] < LEAST_UNEXPLAINED:
        return 0.0
    a, b = left.T
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


def unexplained(x: Floats, given: Sequence[Floats], trend: int = 0) -> float:
    """The share of the variance of x's ranks that those of `given` and the trend leave; 0 where x does not vary."""
    left, variance = _residuals(ranks(x), given, trend), float(ranks(x).var())
    return float(left @ left) / (len(x) * variance) if variance else 0.0


def _residuals(values: Floats, given: Sequence[Floats], trend: int) -> Floats:
    """Of values (n,), or of several in columns."""
    known = np.column_stack([_course(len(values), trend), *map(ranks, given)])
    left: Floats = values - known @ np.linalg.lstsq(known, values, rcond=None)[0]
    return left


@lru_cache(maxsize=64)
def _course(count: int, trend: int) -> Floats:
    return np.vander(np.linspace(-1, 1, count), trend + 1)
