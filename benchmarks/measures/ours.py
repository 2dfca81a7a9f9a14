"""Our side, through the public interface: what is timed, and what it needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from benchmarks.measures.data import Case, Data, Floats

import otoscope

__all__ = ["FAMILY", "MEASURES", "Values", "named", "prepared"]

FAMILY = ("cka-biased", "cka-debiased", "cka", "cca", "svcca", "pwcca", "procrustes")
"""All that one pass gives, as the issue of speed has it."""

THREE_CKA = FAMILY[:3]
SETS = {"family": FAMILY, "three CKA": THREE_CKA}
INTERVALS = " with intervals"
ALONE = ("cka-biased", "cka-debiased", "cka", "cka-minibatch", "cca", "svcca", "pwcca", "bures")
MEASURES = (*ALONE, *SETS, *(name + INTERVALS for name in SETS))
LEVEL = 0.95  # of the intervals, from a jackknife over 20 blocks of utterances

Values = dict[str, npt.NDArray[np.float64]]


def prepared(measure: str, data: Data) -> Callable[[], Values]:
    """The call to be timed, of one measure or of the family, on a case's data."""
    first, second = named(data.first, "a"), named(data.second, "b")
    views = {name: torch.from_numpy(x) for name, x in {**first, **second}.items()}
    rows, columns = list(first), list(second or first)
    plain = measure.removesuffix(INTERVALS)
    wanted = list(SETS.get(plain, (plain,)))
    lengths = data.lengths if "cka" in wanted else None
    options: dict[str, Any] = {"layers_x": rows, "layers_y": columns} if second else {}
    if measure.endswith(INTERVALS):
        options["intervals"] = LEVEL

    def run() -> Values:
        found = otoscope.similarity(views, measure=wanted, utterances=lengths, **options)
        return {name: found[name].values for name in wanted}

    return run


def named(layers: list[Floats], model: str) -> Mapping[str, Floats]:
    """Layers by name."""
    return {f"{model}{i}": x for i, x in enumerate(layers)}


def small() -> Data:
    """A few frames on which everything is loaded and every self-test made before time is taken."""
    from benchmarks.measures.data import make

    return make(Case("warm-up", 900, (12, 12, 12)), seed=1)
