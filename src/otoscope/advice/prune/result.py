"""What is known of leaving out blocks: the word error rates of each choice, and which advice follows."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import pandas as pd

from otoscope.advice.prune.errors import Rate
from otoscope.study.plain import plain

__all__ = ["Pruned", "Pruning"]


@dataclass(frozen=True)
class Pruned:
    """A recogniser without some blocks.

    `way` says how `blocks` (by name) were chosen, `cost` is what the way goes by, where it goes by similarity. `wer` is
    the word error rate with its interval, `rise` how much higher it is than that of the whole recogniser on the same
    speech; fractions, 0.01 is a point. `predicted` is the word error rate that the cost makes expect, from all
    other choices, NaN where there are too few. `beyond_chance` is the word error rate less the mean of the random
    choices of as many blocks: below 0 where the way is better. `parameters` counts the weights that are left, and
    `encoder_time` is the share of the whole encoder's computing time, NaN where it was not taken.
    """

    way: str
    blocks: tuple[str, ...]
    cost: float
    wer: Rate
    rise: Rate
    predicted: float
    beyond_chance: Rate
    parameters: int
    encoder_time: float

    @property
    def count(self) -> int:
        """How many blocks are left out."""
        return len(self.blocks)


@dataclass(frozen=True)
class Pruning:
    """Advice on pruning, with its evidence.

    `blocks` are those of the whole encoder, `whole` its word error rate on `words` words of `corpus`, `chosen_on` the
    speech that similarities were taken from. `rows` are what was tried, `measures` the ways that go by similarity: the
    advice goes by the first. `left_out` has the utterances that could not be looked at, each with the reason.
    """

    recogniser: str
    corpus: str
    chosen_on: str
    words: int
    utterances: int
    blocks: tuple[str, ...]
    parameters: int
    whole: Rate
    measures: tuple[str, ...]
    rows: tuple[Pruned, ...]
    left_out: tuple[str, ...] = field(default=())

    def best(self, keep: float) -> Pruned | None:
        """The most blocks that the first measure leaves out with the word error rate rising by at most `keep`.

        None where leaving out even one costs more. Only what was measured counts.
        """
        fit = [row for row in self.rows if row.way == self.measures[0] and row.rise.value <= keep]
        return max(fit, key=lambda row: row.count, default=None)

    def pareto(self) -> tuple[Pruned, ...]:
        """Choices that no other beats: none has as few blocks, or fewer, and a lower word error rate."""
        front: list[Pruned] = []
        for row in sorted(self.rows, key=lambda row: (-row.count, row.wer.value)):
            if not front or row.wer.value < front[-1].wer.value:
                front.append(row)
        return tuple(reversed(front))

    def to_frame(self) -> pd.DataFrame:
        """A row for each choice."""
        return pd.DataFrame([_flat(row) for row in self.rows])

    def to_dict(self) -> dict[str, Any]:
        """Plain values, null for what is not known."""
        known: dict[str, Any] = plain(asdict(self))
        return known


def _flat(row: Pruned) -> dict[str, Any]:
    rates = {
        f"{name}{end}": value
        for name, rate in (("wer", row.wer), ("rise", row.rise), ("beyond_chance", row.beyond_chance))
        for end, value in (("", rate.value), ("_low", rate.low), ("_high", rate.high))
    }
    return {
        "way": row.way,
        "count": row.count,
        "blocks": " ".join(row.blocks),
        "cost": row.cost,
        **rates,
        "predicted": row.predicted,
        "parameters": row.parameters,
        "encoder_time": row.encoder_time,
    }
