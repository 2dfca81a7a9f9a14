"""When to keep a checkpoint and how large a step to take."""

from __future__ import annotations

import math

__all__ = ["checkpoint_steps", "learning_rate"]


def checkpoint_steps(total: int, count: int) -> list[int]:
    """Steps at which to keep a checkpoint: 0, then log-spaced early and regular later, ending at `total`.

    About half the checkpoints fall into the first eighth of training, where representations move most. At most
    `count` are returned (fewer where steps coincide), at least the two ends.

    >>> checkpoint_steps(1600, 14)
    [0, 8, 14, 23, 40, 68, 117, 200, 433, 667, 900, 1133, 1367, 1600]
    """
    early_end = total / 8
    early = max(1, count // 2)
    first = max(1.0, total / 200)
    late = max(1, count - 1 - early)
    steps = {0, total}
    for i in range(early if count > 2 else 0):
        steps.add(max(1, round(first * (early_end / first) ** (i / max(1, early - 1)))))
    for i in range(1, late):
        steps.add(round(early_end + (total - early_end) * i / late))
    return sorted(s for s in steps if 0 <= s <= total)


def learning_rate(step: int, *, peak: float, warmup: int, total: int) -> float:
    """Linear warm-up to `peak` over `warmup` steps, then a half cosine down to 1 % of it at `total`.

    >>> learning_rate(50, peak=1.0, warmup=100, total=1000)
    0.5
    """
    if step < warmup:
        return peak * step / warmup
    share = min(1.0, (step - warmup) / max(1, total - warmup))
    return peak * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * share)))
