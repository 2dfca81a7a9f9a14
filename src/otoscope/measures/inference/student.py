"""Student's t without scipy: its distribution and its quantiles."""

from __future__ import annotations

import math
from functools import lru_cache

from otoscope.errors import MeasureError

__all__ = ["check_level", "t_cdf", "t_quantile"]

ROUNDS = 500
TINY = 1e-300


@lru_cache(maxsize=256)
def t_quantile(probability: float, degrees: float) -> float:
    """The value below which Student's t with so many degrees of freedom lies with this probability.

    Formula: P(|T| > t) = I_w(ν/2, 1/2) with w = ν/(ν + t²), I the regularised incomplete beta function; solved by
    bisection, to the last few digits of float64.

    >>> round(t_quantile(0.975, 19), 4), round(t_quantile(0.5, 3), 4)
    (2.093, 0.0)
    """
    if probability < 0.5:
        return -t_quantile(1 - probability, degrees)
    tail, low, high = 2 * (1 - probability), 0.0, 1.0
    while _two_sided(high, degrees) > tail:
        low, high = high, 2 * high
    while high - low > 4e-16 * high:
        middle = (low + high) / 2
        if middle in (low, high):
            break
        low, high = (middle, high) if _two_sided(middle, degrees) > tail else (low, middle)
    return (low + high) / 2


def t_cdf(t: float, degrees: float) -> float:
    """The probability that Student's t with so many degrees of freedom lies below `t`.

    >>> round(t_cdf(2.093, 19), 4), t_cdf(0.0, 3)
    (0.975, 0.5)
    """
    tail = _two_sided(t, degrees) / 2
    return tail if t < 0 else 1 - tail


def check_level(level: float) -> None:
    """Refuse a coverage that is no share."""
    if not 0 < level < 1:
        raise MeasureError(f"level is {level}; expected a share between 0 and 1, such as 0.95")


def _two_sided(t: float, degrees: float) -> float:
    """P(|T| > t)."""
    # Of w and 1 − w the one that is not close to 1 is worked out directly: nothing cancels.
    square = t * t
    return _incomplete_beta(degrees / (degrees + square), square / (degrees + square), degrees / 2, 0.5)


def _incomplete_beta(w: float, rest: float, a: float, b: float) -> float:
    """I_w(a, b), rest = 1 − w, by its continued fraction."""
    if w == 0 or rest == 0:
        return float(rest == 0)
    if w > (a + 1) / (a + b + 2):
        return 1 - _incomplete_beta(rest, w, b, a)
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(w) + b * math.log(rest))
    return front / a * _fraction(w, a, b)


def _fraction(w: float, a: float, b: float) -> float:
    """The continued fraction of the incomplete beta function, by Lentz's method (Press et al. 2007, section 6.4)."""
    c, d = 1.0, 1 / _away_from_zero(1 - (a + b) * w / (a + 1))
    value = d
    for m in range(1, ROUNDS):
        even = m * (b - m) * w / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * w / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            d = 1 / _away_from_zero(1 + term * d)
            c = _away_from_zero(1 + term / c)
            value *= c * d
        if abs(c * d - 1) < 1e-16:
            break
    return value


def _away_from_zero(value: float) -> float:
    return value if abs(value) > TINY else TINY
