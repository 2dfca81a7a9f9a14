"""95 % intervals of what was read off held-out speech, by leaving out blocks of it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from otoscope.measures.inference.jackknife import spread
from otoscope.measures.inference.scales import FISHER, PLAIN, Scale
from otoscope.measures.inference.student import t_quantile
from otoscope.study.content.label import Floats
from otoscope.study.needs import LEVEL

__all__ = ["CORRELATION", "ERROR", "SHARE", "block_interval"]

CORRELATION = FISHER
SHARE = Scale(lambda v: np.log(v / (1 - v)), lambda v: 1 / (1 + np.exp(-v)), lambda v: 1 / (v * (1 - v)))
"""Of accuracies: between 0 and 1."""
ERROR = Scale(lambda v: np.log1p(-v), lambda v: -np.expm1(v), lambda v: -1 / (1 - v))
"""Of R²: the logarithm of the share of the variance that is left, any number below 1."""

FEWEST = 3
MOST_OF_ONE = 0.5


def block_interval(value: float, left: Floats, sizes: Sequence[int], scale: Scale) -> tuple[float, float]:
    """The ends of the interval, by the jackknife of `measures.inference` on a scale of about constant spread.

    Arguments:
        value: on all blocks.
        left: on all blocks but one, for each.
        sizes: the rows of each block.
        scale: the scale; the values as they are where it is infinite.

    Returns:
        Low and high, NaN with fewer than 3 blocks or more than half of all rows in one.

    >>> low, high = block_interval(0.5, np.array([0.4, 0.5, 0.6, 0.5]), [10, 10, 10, 10], SHARE)
    >>> 0 < low < 0.5 < high < 1
    True
    """
    if len(sizes) < FEWEST or max(sizes) > MOST_OF_ONE * sum(sizes) or not np.isfinite(left).all():
        return math.nan, math.nan
    with np.errstate(all="ignore"):
        at, moved = scale.to(np.array(value)), scale.to(left)
    if not (np.isfinite(at) and np.isfinite(moved).all()):
        scale, at, moved = PLAIN, np.array(value), left
    reach = t_quantile((1 + LEVEL) / 2, len(sizes) - 1) * math.sqrt(spread(float(at), moved, sizes))
    low, high = scale.back(np.array([at - reach, at + reach])).tolist()
    return min(low, high), max(low, high)
