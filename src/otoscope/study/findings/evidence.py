"""What findings are computed from: what runs show, with what it would be without each block of speech."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from otoscope.study.results import Results

__all__ = ["Entry", "Evidence", "Reader", "Runs", "Seen", "Values", "gather_values", "recogniser_of", "seed_of"]

Floats = npt.NDArray[np.float64]

Runs = tuple[str, ...]
"""One run, or several that are looked at together."""

Reader = Callable[[Results, Runs, str], npt.ArrayLike]
"""An array of what runs show, by one measure."""

FEWEST_BLOCKS = 3


@dataclass(frozen=True)
class Seen:
    """What one run shows, or several together: arrays by name. `own` is false of runs that are only compared with."""

    runs: Runs
    arrays: Mapping[str, Floats]
    own: bool = True

    def __getitem__(self, name: str) -> Floats:
        return self.arrays[name]

    def having(self, **arrays: Floats) -> Seen:
        """The same, but for these arrays."""
        return replace(self, arrays={**self.arrays, **arrays})


@dataclass(frozen=True)
class Values:
    """One array, and the same without each block of speech: (blocks, …), or None where that is not known."""

    value: Floats
    left_out: Floats | None = None

    @cached_property
    def spreads(self) -> Floats | None:
        """(blocks, …) that, weighed by independent standard normal numbers, vary as the values do over speech.

        √((B − 1)/B) (θ₍b₎ − mean): their sum of squares is the jackknife's variance.
        """
        if self.left_out is None:
            return None
        blocks = len(self.left_out)
        spread: Floats = np.sqrt((blocks - 1) / blocks) * (self.left_out - self.left_out.mean(0))
        return spread


@dataclass(frozen=True)
class Entry:
    """The values that one run gives, or several together, by name."""

    runs: Runs
    values: Mapping[str, Values]
    own: bool = True

    def seen(self, z: Floats | None = None) -> Seen:
        """What is shown; moved by its spreads where `z` weighs each block of speech."""
        return Seen(self.runs, {name: _moved(values, z) for name, values in self.values.items()}, self.own)

    def only(self, names: Iterable[str]) -> Entry:
        """Those values alone."""
        return Entry(self.runs, {name: self.values[name] for name in names}, self.own)


def _moved(values: Values, z: Floats | None) -> Floats:
    if z is None or values.spreads is None:
        return values.value
    moved: Floats = values.value + np.tensordot(z, values.spreads, 1)
    return moved


Evidence = Sequence[Entry]
"""All that an effect is computed from."""


def recogniser_of(run: str) -> str:
    """The recogniser of a run, `<recogniser>/seed<k>`."""
    return run.partition("/")[0]


def seed_of(run: str) -> str:
    """The seed of a run, as it is written: `seed<k>`."""
    return run.partition("/")[2]


def gather_values(results: Results, parts: Sequence[Results], runs: Runs, read: Reader, measure: str) -> Values:
    """Reads an array, from all speech and from what remains without each block of it (`parts`)."""
    value = np.asarray(read(results, runs, measure), dtype=np.float64)
    left = np.array([read(part, runs, measure) for part in parts], dtype=np.float64)
    known = len(parts) >= FEWEST_BLOCKS and bool(np.isfinite(left).all())
    # What does not depend on the speech compared, such as training steps, has no spread.
    return Values(value, left if known and bool((left != value).any()) else None)
