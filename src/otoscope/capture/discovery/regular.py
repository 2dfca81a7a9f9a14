"""How many frames a layer makes of so many input steps, as an exact rule found from a few examples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Rule", "rules", "telling"]

MOST_RULES = 4096
"""Of more rules than this, an even selection decides which length to try next."""


FEW_RULES = 24
"""So few are parted by the best of all lengths; more, by the best of a hundred or so."""


@dataclass(frozen=True)
class Rule:
    """A layer has ⌊(steps − window) / stride⌋ + 1 frames, as any stack of convolutions does.

    A window of 1 is ⌈steps / stride⌉, a front end with padding; less is one that pads more than that.
    """

    stride: int
    window: int

    def frames(self, steps: int) -> int:
        """Frames of so many input steps."""
        return (steps - self.window) // self.stride + 1


@dataclass(frozen=True)
class Rules:
    """All rules that agree with what was seen: for each stride the least and the greatest window."""

    strides: npt.NDArray[np.int64]
    least: npt.NDArray[np.int64]
    greatest: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return int((self.greatest - self.least + 1).sum())

    def one(self) -> Rule | None:
        """The rule, once it is told. Windows of 1 and less are alike: frames begin where the speech does."""
        if len(self.strides) != 1 or (self.least[0] < self.greatest[0] and self.greatest[0] > 1):
            return None
        return Rule(int(self.strides[0]), int(self.greatest[0]))

    def pairs(self) -> Iterator[tuple[int, int]]:
        """Every stride with every window, or an even selection of so many."""
        step = max(1, len(self) // MOST_RULES)
        for stride, least, greatest in zip(self.strides, self.least, self.greatest, strict=True):
            for window in range(int(least), int(greatest) + 1, step):
                yield int(stride), window


def rules(seen: Sequence[tuple[int, int]]) -> Rules:
    """The rules that agree with these steps and frames.

    >>> rules([(16_000, 49), (400, 1), (399, 0), (719, 1), (720, 2)]).one()
    Rule(stride=320, window=400)
    """
    # Where a layer has no frame the rule is cut off at 0, and says only that there are not enough steps.
    some = sorted((steps, frames) for steps, frames in seen if frames)
    none = max((steps for steps, frames in seen if not frames), default=None)
    (fewest, short), (most, long) = some[0], some[-1]
    more = long - short
    first = (most - fewest) // (more + 1) + 1
    last = -(-(most - fewest) // (more - 1)) - 1 if more > 1 else most
    strides = np.arange(first, max(first, last) + 1, dtype=np.int64)
    steps, frames = (np.array(column, dtype=np.int64)[:, None] for column in zip(*some, strict=True))
    least = (steps - frames * strides).max(axis=0) + 1
    greatest = (steps - (frames - 1) * strides).min(axis=0)
    if none is not None:
        least = np.maximum(least, none + 1)
    agree = least <= greatest
    return Rules(strides[agree], least[agree], greatest[agree])


def telling(left: Rules, lowest: int, highest: int) -> int | None:
    """The number of steps, of those allowed, that parts the rules that are left most evenly; None where all agree."""
    pairs = np.array(list(left.pairs()), dtype=np.int64)
    every = np.arange(lowest, highest + 1)
    if len(pairs) <= FEW_RULES:
        return _best(pairs, every)
    stride, middle = pairs[(len(pairs) - 1) // 2]
    spread = np.linspace(lowest, highest, 48).astype(np.int64)
    # At window + k strides the count goes up: there the windows of one stride are parted in the middle.
    parted = middle + stride * np.unique((spread - middle) // stride)
    candidates = np.unique(np.concatenate([spread, parted]))
    candidates = candidates[(candidates >= lowest) & (candidates <= highest)]
    found = _best(pairs, candidates)
    if found is not None:
        return found
    return _best(pairs[np.linspace(0, len(pairs) - 1, 10 * FEW_RULES).astype(np.int64)], every)


def _best(pairs: npt.NDArray[np.int64], candidates: npt.NDArray[np.int64]) -> int | None:
    """The candidate after which the fewest rules are left at worst, the shortest of these; None where all stay."""
    if not len(candidates):
        return None
    frames = np.sort((candidates[:, None] - pairs[:, 1]) // pairs[:, 0], axis=1)
    largest, run = np.ones(len(candidates), dtype=np.int64), np.ones(len(candidates), dtype=np.int64)
    for column in range(1, len(pairs)):
        run = np.where(frames[:, column] == frames[:, column - 1], run + 1, 1)
        largest = np.maximum(largest, run)
    best = int(largest.argmin())
    return int(candidates[best]) if largest[best] < len(pairs) else None
