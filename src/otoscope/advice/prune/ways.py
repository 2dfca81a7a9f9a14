"""Ways to choose blocks that know nothing of similarity: what advice is compared with."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from torch import nn

__all__ = ["by_chance", "by_magnitude", "first", "last"]


def last(removable: Sequence[int], count: int) -> tuple[int, ...]:
    """The blocks nearest to the output."""
    return tuple(removable[len(removable) - count :])


def first(removable: Sequence[int], count: int) -> tuple[int, ...]:
    """The blocks nearest to the input."""
    return tuple(removable[:count])


def by_magnitude(module: nn.Module, names: Sequence[str], removable: Sequence[int], count: int) -> tuple[int, ...]:
    """The blocks with the smallest weights: by the root mean square over all weights of a block."""
    sizes = {i: _rms(module.get_submodule(names[i])) for i in removable}
    return tuple(sorted(sorted(removable, key=sizes.__getitem__)[:count]))


def by_chance(removable: Sequence[int], count: int, draws: int) -> list[tuple[int, ...]]:
    """Different choices drawn at random, always the same ones; all there are where those are fewer than `draws`."""
    random = np.random.default_rng(count)
    wanted = min(draws, math.comb(len(removable), count))
    drawn: dict[tuple[int, ...], None] = {}
    while len(drawn) < wanted:
        drawn[tuple(sorted(random.choice(np.array(removable), count, replace=False).tolist()))] = None
    return list(drawn)


def _rms(module: nn.Module) -> float:
    weights = [p.detach().double() for p in module.parameters()]
    return math.sqrt(sum(float((w**2).sum()) for w in weights) / sum(w.numel() for w in weights))
