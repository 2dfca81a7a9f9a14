"""The scale on which a measure's errors are about normal, and how its bias falls with the amount of speech."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from otoscope.measures.registry import Measure

__all__ = ["Floats", "Scale", "is_rough", "scale_of"]

Floats = npt.NDArray[np.float64]

CLOSE = 1e-9  # a value this close to the end of its range is at it but for rounding


@dataclass(frozen=True, slots=True)
class Scale:
    """A transformation, its inverse and its derivative."""

    to: Callable[[Floats], Floats]
    back: Callable[[Floats], Floats]
    slope: Callable[[Floats], Floats]


PLAIN = Scale(lambda v: v, lambda v: v, np.ones_like)
FISHER = Scale(np.arctanh, np.tanh, lambda v: 1 / (1 - v**2))
LOG = Scale(np.log, np.exp, lambda v: 1 / v)


def scale_of(measure: Measure, values: Floats) -> Scale:
    """Fisher's z for what lies between −1 and 1, the logarithm for distances; the values as they are at the ends.

    The interval then stays within the measure's range and is wider towards the middle. A layer compared with itself
    reads 1 (or 0) in every block, where both scales are infinite: its interval is of width 0.
    """
    if measure.distance:
        return LOG if values.min() > CLOSE else PLAIN
    return FISHER if np.abs(values).max() < 1 - CLOSE else PLAIN


def is_rough(measure: Measure, named: Collection[str] | None) -> bool:
    """Whether the measure's bias may fall as slowly as 1/√n: as it says itself, or where it is among those named."""
    return measure.rough if named is None else measure.name in named
