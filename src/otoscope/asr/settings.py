"""Checks of settings where they are made, so that a wrong one is told before hours of training, not after."""

from __future__ import annotations

import math
from numbers import Integral, Real
from typing import Any

from otoscope.errors import StudyError

__all__ = ["expect", "is_number", "is_whole"]


def is_whole(value: Any, least: int) -> bool:
    """Whether a value is a whole number of at least `least`; True and False are no numbers here."""
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= least


def is_number(value: Any) -> bool:
    """Whether a value is a finite real number; True and False are no numbers here."""
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def expect(holds: bool, name: str, value: Any, expected: str) -> None:
    """Raises StudyError naming the setting, what came and what was expected, unless `holds`."""
    if not holds:
        raise StudyError(f"the setting {name} is {value!r}; expected {expected}")
