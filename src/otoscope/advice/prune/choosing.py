"""The cheapest blocks to leave out, by how alike the states before and after them are."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

__all__ = ["cheapest", "cost_of"]

Floats = npt.NDArray[np.float64]

Blocks = tuple[int, ...]
"""Blocks by number, in order."""


def cost_of(blocks: Blocks, unlike: Floats) -> float:
    """What leaving out these blocks changes: the sum over stretches of neighbours among them.

    Formula: Σ u[a, b + 1] over the longest stretches a … b of neighbouring blocks, u[i, j] how unlike state i, which
    goes into block i, and state j are. A stretch that is left out hands state a on in place of state b + 1.

    >>> cost_of((1, 2, 4), np.arange(36.0).reshape(6, 6))
    38.0
    """
    found, begin = 0.0, None
    for at, block in enumerate(blocks):
        begin = block if begin is None else begin
        if at + 1 == len(blocks) or blocks[at + 1] != block + 1:
            found += float(unlike[begin, block + 1])
            begin = None
    return found


def cheapest(unlike: Floats, removable: Sequence[bool], most: int) -> list[Blocks]:
    """For each number of blocks from 1 to `most`, those whose `cost_of` is the least of all choices.

    Found by dynamic programming over states, in O(B² · most) steps, where there are B choose k choices: every stretch
    was measured in the one pass that gave `unlike`. Choosing one by one the blocks whose input and output are most
    alike, as ShortGPT does (Men et al. 2024), and choosing the one stretch whose ends are (Gromov et al. 2024), are
    both among the choices.

    Arguments:
        unlike: (B + 1, B + 1), how unlike two states are; see `cost_of`.
        removable: (B,) which blocks can be left out.
        most: blocks to leave out; fewer where fewer can be.

    Returns:
        The blocks by number of them; shorter than `most` where no more can be left out.
    """
    blocks = len(removable)
    # The least cost of the states up to one whose block before it stays, and the blocks left out on the way.
    best: list[dict[int, tuple[float, Blocks]]] = [{} for _ in range(blocks + 2)]
    best[0][0] = (0.0, ())
    for at in range(blocks + 1):
        for count, (cost, out) in list(best[at].items()):
            for end in range(at, blocks + 1):  # at … end − 1 are left out, and block `end` stays, or there is none
                if end > at and not removable[end - 1]:
                    break
                total = count + end - at
                if total > most:
                    break
                step = 0.0 if end == at else float(unlike[at, end])
                _keep(best[end + 1], total, cost + step, (*out, *range(at, end)))
    return [best[-1][k][1] for k in range(1, most + 1) if k in best[-1]]


def _keep(best: dict[int, tuple[float, Blocks]], count: int, cost: float, out: Blocks) -> None:
    if math.isfinite(cost) and (count not in best or cost < best[count][0]):
        best[count] = (cost, out)
