"""What watching may cost: a share of the training time, kept by leaving comparisons out in a stated order."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

__all__ = ["LEVELS", "Budget", "Level"]


@dataclass(frozen=True, slots=True)
class Level:
    """How much of a checkpoint's comparisons is made, and how the log names what is left out."""

    all_measures: bool
    within: bool
    earlier: bool
    left_out: tuple[str, ...]


FINAL, REST, WITHIN = "layer × final so far", "all measures but the first", "layer × layer"

LEVELS = (
    Level(True, True, True, ()),
    Level(True, True, False, (FINAL,)),
    Level(False, True, False, (FINAL, REST)),
    Level(False, False, False, (FINAL, REST, WITHIN)),
)
"""From everything to layer × previous by one measure; what costs even more than this leaves the checkpoint out."""


@dataclass
class Budget:
    """The clock of watching and training, and what each comparison cost last.

    Arguments:
        share: the most that watching may take of the training time (everything that is not watching); `None`: any.
        watching, training: seconds so far.
        probe: seconds that the layers of the probe set took last.
        product: by number of measures, seconds for each product of two layers.
    """

    share: float | None
    watching: float = 0.0
    training: float = 0.0
    probe: float = 0.0
    product: dict[int, float] = field(default_factory=dict)
    _ended: float | None = None

    @contextmanager
    def spending(self) -> Iterator[float]:
        """A block whose time is watching; what passed since the last block was training. Gives the time it began."""
        began = time.perf_counter()
        # Before the first block of a process stand imports and loading; not counting them errs on the strict side.
        self.training += began - self._ended if self._ended is not None else 0.0
        try:
            yield began
        finally:
            self._ended = time.perf_counter()
            self.watching += self._ended - began

    def choose(self, *, measures: int, layers: int, earlier: int, step: int, total: int | None) -> Level | None:
        """How much to compare at this step: as much as the budget holds, `None` for nothing.

        Half of the whole training's budget may be spent before it is earned, since representations move most, and
        checkpoints lie closest, at the beginning. The cost of the last checkpoint is kept back. The first checkpoint
        is always looked at: there is no cost known before it.
        """
        if self.share is None or not self.product:
            return LEVELS[0]
        whole = self.training * total / step if total and step else self.training
        last = step == total
        room = self.share * (self.training if last else (self.training + whole) / 2) - self.watching
        for level in LEVELS:
            cost = self._cost(level, measures, layers, earlier)
            if cost + (0.0 if last else self._cost(level, measures, layers, earlier + 1)) <= room:
                return level
        return None

    def as_row(self, began: float) -> dict[str, Any]:
        """What the log says of it, in the midst of a block that began then."""
        watching = self.watching + time.perf_counter() - began
        return {
            "watching_seconds": round(watching, 6),
            "training_seconds": round(self.training, 6),
            "share": round(watching / self.training, 5) if self.training else None,
            "budget": self.share,
            "probe_seconds": round(self.probe, 5),
            "seconds_by_measures": {str(count): seconds for count, seconds in self.product.items()},
        }

    def take_up(self, row: Mapping[str, Any]) -> None:
        """Goes on from what the log of an earlier process said last."""
        self.watching, self.training = row["watching_seconds"], row["training_seconds"]
        self.probe = row["probe_seconds"]
        self.product = {int(count): seconds for count, seconds in row["seconds_by_measures"].items()}

    def _cost(self, level: Level, measures: int, layers: int, earlier: int) -> float:
        count = measures if level.all_measures else 1
        known = self.product.get(count)
        # Before one measure was timed alone: its part of what all cost.
        each = known if known is not None else max(s / n for n, s in self.product.items()) * count
        return self.probe + each * products(level, layers, earlier)


def products(level: Level, layers: int, earlier: int) -> int:
    """How many products of two layers, each layer with itself among them, a level takes."""
    within = layers * (layers + 1) // 2 if level.within else 0
    against = earlier if level.earlier else min(earlier, 1)
    return within + (layers * (2 * against + 1) if against else 0)
