"""Constructed studies in which a depth hierarchy is robust, and in which it hangs on measure and speech (F10)."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

import numpy as np
import xarray as xr

from otoscope.study.results import Results
from tests.study.findings.constructed import UNITS, Draw, Floats, study

Builder = Callable[[int], Results]
Layers = list[Floats]

LAYERS, SEEDS = 5, 3
MEASURES = ("cka", "cka-biased", "cca")
NOISY = "noisy"
STRONG = 10.0
"""How much louder the one unit is that CKA hears and the CCA family does not."""

ELSEWHERE = (2, 4, 0, 3, 1)
"""Places of layers along a chain in which those near in depth are far from each other."""


def _chain(draw: Draw, keep: float = 0.6) -> Layers:
    """Each layer keeps a share of the one before."""
    layers = [draw.mixed((0.8, draw.speech))]
    while len(layers) < LAYERS:
        layers.append(draw.mixed((keep, layers[-1])))
    return layers


def _alike(draw: Draw) -> Layers:
    return [draw.mixed((0.5, draw.speech)) for _ in range(LAYERS)]


def _elsewhere(draw: Draw) -> Layers:
    """A chain in another order than that of depth."""
    chain = _chain(draw)
    return [chain[at] for at in ELSEWHERE]


def _two_chains(draw: Draw) -> Layers:
    """One loud unit is a chain in depth, all others are one in another order."""
    loud = np.arange(UNITS) == 0
    return [np.where(loud, STRONG * x, y) for x, y in zip(_chain(draw), _elsewhere(draw), strict=True)]


def _study(draw: Draw, make: Callable[[Draw], Layers]) -> Results:
    runs = {f"cnn/seed{s}": {0: _alike(draw), 100: make(draw)} for s in range(SEEDS)}
    return study(runs, ("within", "shuffled"), measures=MEASURES)


def with_probe(main: Results, name: str, further: Results) -> Results:
    """A study that was measured on a further probe set too, as `further` has it."""
    parts = [
        results.dataset.assign_coords(probe=("pair", [probe] * results.dataset.sizes["pair"]))
        for probe, results in (("", main), (name, further))
    ]
    joined = xr.concat(parts, dim="pair", data_vars="minimal", coords="minimal", compat="override")
    return Results(
        joined.assign_attrs({**main.dataset.attrs, "probes": json.dumps({name: {"noise": "babble", "grid": 1}})})
    )


def robust_hierarchy(seed: int) -> Results:
    """A hierarchy in all units, on other speech too."""
    draw = Draw(seed)
    return with_probe(_study(draw, _chain), NOISY, _study(Draw(seed + 10_000), _chain))


def fragile_hierarchy(seed: int) -> Results:
    """A hierarchy in one loud unit, and another order on other speech: two of three other ways do not find it."""
    draw = Draw(seed)
    return with_probe(_study(draw, _two_chains), NOISY, _study(Draw(seed + 10_000), _elsewhere))


PATTERNS: Mapping[str, tuple[Builder, Builder]] = {"F10-F1": (robust_hierarchy, fragile_hierarchy)}
"""By finding, studies with its pattern and without."""
