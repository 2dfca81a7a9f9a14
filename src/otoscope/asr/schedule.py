"""When to keep a checkpoint and how large a step to take."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

__all__ = ["SCHEDULES", "checkpoint_steps", "learning_rate", "regular_from"]


def checkpoint_steps(total: int, count: int) -> list[int]:
    """Steps at which to keep a checkpoint: 0, then log-spaced early and regular later, ending at `total`.

    About half the checkpoints fall into the first eighth of training, where representations move most. At most
    `count` are returned (fewer where steps coincide), at least the two ends.

    >>> checkpoint_steps(1600, 14)
    [0, 8, 14, 23, 40, 68, 117, 200, 433, 667, 900, 1133, 1367, 1600]
    """
    early_end = regular_from(total)
    early = max(1, count // 2)
    first = max(1.0, total / 200)
    late = max(1, count - 1 - early)
    steps = {0, total}
    for i in range(early if count > 2 else 0):
        steps.add(max(1, round(first * (early_end / first) ** (i / max(1, early - 1)))))
    for i in range(1, late):
        steps.add(round(early_end + (total - early_end) * i / late))
    return sorted(s for s in steps if 0 <= s <= total)


def regular_from(total: int) -> float:
    """The step from which checkpoints are regular: an eighth of all."""
    return total / 8


def _cosine(step: int, warmup: int, total: int) -> float:
    """A half cosine from 1 at the end of warm-up down to 0.01 at `total` (Loshchilov & Hutter 2017)."""
    share = min(1.0, (step - warmup) / max(1, total - warmup))
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * share))


def _inverse_sqrt(step: int, warmup: int, total: int) -> float:
    """√(warmup / step), whatever the total (Vaswani et al. 2017)."""
    return math.sqrt(warmup / step)


SCHEDULES: Mapping[str, Callable[[int, int, int], float]] = {"cosine": _cosine, "inverse-sqrt": _inverse_sqrt}
"""The share of the peak at a step after warm-up, by name, from (step, warmup, total)."""


def learning_rate(step: int, *, peak: float, warmup: int, total: int, schedule: str = "cosine") -> float:
    """Linear warm-up to `peak` over `warmup` steps (at least 1), then down by one of `SCHEDULES`.

    "cosine" is a half cosine down to 1 % of the peak at `total`; "inverse-sqrt" is peak · √(warmup / step).

    >>> learning_rate(50, peak=1.0, warmup=100, total=1000)
    0.5
    >>> learning_rate(400, peak=1.0, warmup=100, total=1000, schedule="inverse-sqrt")
    0.5
    """
    if step < warmup:
        return peak * step / warmup
    return peak * SCHEDULES[schedule](step, max(1, warmup), total)
