"""Results as plain values, for JSON."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

__all__ = ["plain"]


def plain(value: Any) -> Any:
    """Dicts, lists and what is in them; null for a number that is not known.

    >>> plain({"a": (1.0, float("nan"))})
    {'a': [1.0, None]}
    """
    if isinstance(value, dict):
        return {name: plain(part) for name, part in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [plain(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
