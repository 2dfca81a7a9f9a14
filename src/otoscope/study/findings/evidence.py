"""The similarities that a finding is computed from, with what they would be without each block of speech."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from otoscope.study.results import Results

__all__ = ["Arrays", "Evidence", "Values", "gather_values", "perturbed"]

Floats = npt.NDArray[np.float64]

Arrays = Mapping[str, Floats]
"""What one run shows, by name, such as its matrix of similarities."""


@dataclass(frozen=True)
class Values:
    """One array of similarities, and the same without each block of speech: (blocks, …), or None where not known."""

    value: Floats
    left_out: Floats | None = None

    def spreads(self) -> Floats | None:
        """(blocks, …) that, weighed by independent standard normal numbers, vary as the values do over speech.

        √((B − 1)/B) (θ₍b₎ − mean): their sum of squares is the jackknife's variance.
        """
        if self.left_out is None:
            return None
        blocks = len(self.left_out)
        spread: Floats = np.sqrt((blocks - 1) / blocks) * (self.left_out - self.left_out.mean(0))
        return spread


Evidence = Mapping[str, Mapping[str, Values]]
"""By run and by name, the values that an effect is computed from."""


def gather_values(
    results: Results, runs: Sequence[str], read: Mapping[str, Callable[[Results, str], Floats]]
) -> dict[str, dict[str, Values]]:
    """Reads arrays of each run, from all speech and without each block of it.

    Arguments:
        results: of a study.
        runs: whose arrays are read.
        read: for each name, how the array of a run is read from results.
    """
    parts = [results.without(block) for block in range(results.blocks)]

    def values(name: str, run: str) -> Values:
        left = np.array([read[name](part, run) for part in parts])
        known = len(parts) >= 3 and bool(np.isfinite(left).all())
        return Values(np.asarray(read[name](results, run), dtype=np.float64), left if known else None)

    return {run: {name: values(name, run) for name in read} for run in runs}


def perturbed(run: Mapping[str, Values], spreads: Mapping[str, Floats | None], z: Floats) -> Arrays:
    """What a run shows, moved by its spreads, weighed by one standard normal number for each block of speech."""
    moved: dict[str, Floats] = {}
    for name, values in run.items():
        spread = spreads[name]
        moved[name] = values.value if spread is None else values.value + np.tensordot(z, spread, 1)
    return moved
