"""How far a matrix of similarities falls from its diagonal: what several findings are made of."""

from __future__ import annotations

import itertools
from functools import lru_cache

import numpy as np
import numpy.typing as npt

__all__ = ["agreement", "away_from", "falling_with_distance", "triples"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.intp]


def agreement(x: Floats, y: Floats) -> float:
    """Somers' D: of the pairs of values whose x differ, the share in which y goes the same way less that of the other.

    From −1 to 1; pairs with equal y count as half of each. NaN where all x are equal.

    >>> agreement(np.array([1.0, 2.0, 3.0, 3.0]), np.array([0.1, 0.2, 0.5, 0.4]))
    1.0
    """
    i, j = np.triu_indices(len(x), 1)
    dx, dy = np.sign(x[i] - x[j]), np.sign(y[i] - y[j])
    told = dx != 0
    return float((dx * dy)[told].mean()) if told.any() else float("nan")


def falling_with_distance(similarity: Floats) -> float:
    """`agreement` of closeness in depth, −|i − j|, with similarity, over pairs of different layers i < j."""
    i, j = np.triu_indices(len(similarity), 1)
    return agreement(-np.abs(i - j).astype(float), similarity[i, j])


@lru_cache(maxsize=32)
def away_from(layers: int) -> tuple[Ints, Ints, Ints]:
    """Steps away from a layer: (from, nearer, farther), the layer itself never the nearer one."""
    steps = [
        (r, near, far)
        for r in range(layers)
        for near, far in itertools.chain(
            ((k, k + 1) for k in range(r + 1, layers - 1)), ((k, k - 1) for k in range(1, r))
        )
    ]
    table = np.array(steps, dtype=np.intp).reshape(-1, 3)
    return table[:, 0], table[:, 1], table[:, 2]


@lru_cache(maxsize=32)
def triples(layers: int) -> tuple[Ints, Ints, Ints]:
    """i < j < k."""
    table = np.array(list(itertools.combinations(range(layers), 3)), dtype=np.intp).reshape(-1, 3)
    return table[:, 0], table[:, 1], table[:, 2]
