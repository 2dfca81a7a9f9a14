"""Halves of the speech: what a measure's bias and its second-order spread are told from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from otoscope.measures.inference.evaluate import Part
from otoscope.measures.inference.scales import Floats

__all__ = ["SPLITS", "Halves", "parts_of", "split"]

SPLITS = 5
TRIES = 50

Split = tuple[tuple[int, ...], tuple[int, ...]]


def split(blocks: int) -> list[Split]:
    """Different ways to cut the blocks in two halves, the same on every call.

    >>> split(3)
    [((0,), (1, 2)), ((1,), (0, 2)), ((2,), (0, 1))]
    """
    random, found = np.random.default_rng(0), dict[Split, None]()
    for _ in range(TRIES):
        order = random.permutation(blocks).tolist()
        half = blocks // 2
        halves = tuple(sorted(order[:half])), tuple(sorted(order[half:]))
        found[halves if blocks % 2 else (min(halves), max(halves))] = None
        if len(found) == SPLITS:
            break
    return sorted(found)


def parts_of(splits: Sequence[Split], sizes: Sequence[int]) -> list[Part]:
    """Both halves of each split."""
    blocks = range(len(sizes))
    return [
        Part(
            f"half of the blocks ({sum(sizes[b] for b in half)} of {sum(sizes)} frames)",
            tuple(int(b in half) for b in blocks),
        )
        for halves in splits
        for half in halves
    ]


@dataclass(frozen=True, slots=True)
class Halves:
    """What the halves say of an estimate θ on all speech, on the scale of the interval.

    With θ₁ and θ₂ on shares f and 1 − f of the speech, M = f θ₁ + (1 − f) θ₂ has the same first-order error as θ.

    - A bias of b/n becomes 2b/n in M whatever f is, so the mean of M − θ over the splits is the bias of θ.
    - A bias of a/√n becomes (√f + √(1 − f)) a/√n, so the bias is that mean over √f + √(1 − f) − 1.
    - What M − θ varies by from split to split is the second-order part of θ's variance: the pairs of blocks that lie
      on different sides are missing from M, and those on one side count twice.
    """

    bias: float
    root_bias: float
    second_order: float

    @classmethod
    def of(cls, value: float, halves: Floats, splits: Sequence[Split], sizes: Sequence[int]) -> Halves:
        """From the values on both halves of each split, in the order of `parts_of`."""
        share = np.array([sum(sizes[b] for b in first) for first, _ in splits]) / sum(sizes)
        first, second = halves.reshape(-1, 2).T
        differences = share * first + (1 - share) * second - value
        bias = float(differences.mean())
        factor = float((np.sqrt(share) + np.sqrt(1 - share) - 1).mean())
        return cls(bias, bias / factor, float(differences.var(ddof=1)))
