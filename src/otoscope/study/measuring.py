"""The comparisons of a study, cut into units of work: one per checkpoint, one per pair of runs.

Each unit runs the checkpoints it needs side by side over the probe set, reduces their layers to moments, and leaves a
small JSON file. A killed study keeps the files and does only the rest.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from otoscope.asr import FeatureStore, ReferenceRecogniser, batches_by_length, pad
from otoscope.capture import SHUFFLED, Layer, common_grid, reduce, view_name
from otoscope.errors import MeasureError, StudyError
from otoscope.files import file_hash
from otoscope.measures import Measure, Moments, registry
from otoscope.study.folder import read_json, write_json
from otoscope.study.rows import Comparison, Refusal

__all__ = ["Checkpoint", "Measured", "Unit", "plan_units", "probe_batches", "read_unit", "run_unit"]

REVISION = 3
"""Raised whenever a change of the code changes a number that a unit gives: units of another revision are done anew."""

BATCH_FRAMES = 6_000
"""Input frames in one batch of the probe set, a minute of speech: what bounds the memory of a comparison."""


@dataclass(frozen=True)
class Checkpoint:
    """One checkpoint of one run."""

    run: str
    step: int
    path: Path


@dataclass(frozen=True)
class Unit:
    """One unit of work.

    `kind` is "checkpoint" (the first of `checkpoints` with itself, with the final and the previous one, where they
    are given as the second and third), "shuffled" (one checkpoint with itself, utterances shuffled) or "across" (two
    checkpoints of different runs).
    """

    kind: str
    checkpoints: tuple[Checkpoint, ...]
    measures: tuple[Measure, ...]

    @property
    def name(self) -> str:
        """A file name for the unit, unique within a study."""
        runs = "--".join(f"{c.run.replace('/', '.')}@{c.step}" for c in self.checkpoints)
        return f"{self.kind}-{runs}"


@dataclass(frozen=True)
class Measured:
    """What a unit gave: its comparisons, the refusals among them, and what they were measured on."""

    comparisons: tuple[Comparison, ...]
    refusals: tuple[Refusal, ...]
    frames: int
    utterances: int
    grid: float


def plan_units(runs: Mapping[str, Sequence[Checkpoint]], measures: Sequence[str]) -> list[Unit]:
    """Every unit of a study: `runs` maps run names to their checkpoints in order of steps."""
    chosen = tuple(map(registry.get, measures))  # objects, since a worker's registry knows only what it was born with
    units = []
    for checkpoints in runs.values():
        for i, now in enumerate(checkpoints):
            units.append(Unit("checkpoint", (now, checkpoints[-1], checkpoints[max(0, i - 1)]), chosen))
        ends = dict.fromkeys((checkpoints[0], checkpoints[-1]))
        units += [Unit("shuffled", (end,), chosen) for end in ends]
    for x, y in itertools.combinations(runs.values(), 2):
        units += [Unit("across", both, chosen) for both in ((x[0], y[0]), (x[-1], y[-1]))]
    return units


def run_unit(unit: Unit, store_path: Path, probe: Sequence[str], folder: Path) -> None:
    """Does one unit and writes `<folder>/<unit.name>.json`; nothing where it is there for the same input."""
    path = folder / f"{unit.name}.json"
    key = _key(unit, store_path, probe)
    if _is_done(path, key):
        return
    store = FeatureStore(store_path)
    recognisers = {_role(i, unit): ReferenceRecogniser.load(c.path) for i, c in enumerate(unit.checkpoints)}
    layers = {role: recogniser.layers() for role, recogniser in recognisers.items()}
    grid = common_grid([layer for own in layers.values() for layer in own])
    wanted = list(_wanted(unit, layers))
    batches = (pad([store.get(u) for u in batch]) for batch in probe_batches({u: store.frames(u) for u in probe}))
    pairs = list({frozenset((x, y)): (x, y) for _, x, y in wanted}.values())  # either order has the same moments
    moments = reduce(recognisers, batches, pairs=pairs, grid=grid, shuffled=unit.kind == "shuffled")
    if moments.utterances != len(probe):
        raise StudyError(f"{unit.name} saw {moments.utterances} utterances of a probe set of {len(probe)}")
    comparisons, refusals = _measure(unit, moments, wanted)
    write_json(
        path,
        {
            "key": key,
            "frames": moments.frames,
            "utterances": moments.utterances,
            "grid": grid,
            "comparisons": [asdict(c) for c in comparisons],
            "refusals": [asdict(r) for r in refusals],
        },
    )


def read_unit(unit: Unit, folder: Path) -> Measured:
    """What `run_unit` wrote."""
    found = read_json(folder / f"{unit.name}.json")
    return Measured(
        tuple(Comparison(**c) for c in found["comparisons"]),
        tuple(Refusal(**r) for r in found["refusals"]),
        found["frames"],
        found["utterances"],
        found["grid"],
    )


def _key(unit: Unit, store_path: Path, probe: Sequence[str]) -> str:
    """A hash of everything the unit's numbers depend on."""
    weights = [file_hash(c.path) for c in unit.checkpoints]
    return hashlib.sha256(
        json.dumps([REVISION, [m.name for m in unit.measures], weights, store_path.name, list(probe)]).encode()
    ).hexdigest()


def _role(index: int, unit: Unit) -> str:
    return ("now", "final", "previous")[index] if unit.kind == "checkpoint" else ("x", "y")[index]


def _is_done(path: Path, key: str) -> bool:
    """Whether the unit's file is there, whole, and from the same input."""
    try:
        return bool(read_json(path)["key"] == key)
    except (StudyError, TypeError, KeyError):
        return False


def probe_batches(frames: Mapping[str, int]) -> list[list[str]]:
    """The probe set, utterance → frames, in batches of at least two: shuffling needs company.

    >>> probe_batches({"a": 7_000, "b": 7_000, "c": 7_000, "d": 100})
    [['d', 'a'], ['b', 'c']]
    """
    batches: list[list[str]] = []
    for batch in batches_by_length(frames, frames=BATCH_FRAMES):
        if batches and len(batches[-1]) == 1:
            batches[-1] += batch
        else:
            batches.append(batch)
    if len(batches) > 1 and len(batches[-1]) == 1:
        alone = batches.pop()
        batches[-1] += alone
    return batches


Wanted = tuple[str, str, str]
"""A kind of comparison and the names of two views."""


def _wanted(unit: Unit, layers: Mapping[str, Sequence[Layer]]) -> Iterable[Wanted]:
    """The comparisons of a unit, both orders of a pair among them, since not every measure is symmetric."""
    names = {role: [view_name(role, layer.name) for layer in own] for role, own in layers.items()}
    if unit.kind == "checkpoint":
        yield from (("within", x, y) for x, y in itertools.product(names["now"], repeat=2))
        yield from (("to_final", x, y) for x, y in zip(names["now"], names["final"], strict=True))
        if unit.checkpoints[0] != unit.checkpoints[2]:
            yield from (("to_previous", x, y) for x, y in zip(names["now"], names["previous"], strict=True))
    elif unit.kind == "shuffled":
        yield from (("shuffled", x, SHUFFLED + y) for x, y in itertools.product(names["x"], repeat=2))
    else:
        yield from (("across", x, y) for x, y in itertools.product(names["x"], names["y"]))


def _measure(unit: Unit, moments: Moments, wanted: Sequence[Wanted]) -> tuple[list[Comparison], list[Refusal]]:
    by_role = {_role(i, unit): c for i, c in enumerate(unit.checkpoints)}
    comparisons = []
    refusals: Counter[tuple[str, str, str, str]] = Counter()
    values: dict[tuple[str, str, str], tuple[float, float] | str] = {}
    for kind, x, y in wanted:
        (checkpoint_x, layer_x), (checkpoint_y, layer_y) = (_parse(v, by_role) for v in (x, y))
        similarity, null = {}, {}
        for measure in unit.measures:
            name = measure.name
            turned = values.get((name, y, x)) if measure.symmetric else None
            value = values[name, x, y] = turned or _compute(measure, moments, x, y)
            if isinstance(value, str):
                similarity[name] = null[name] = math.nan
                refusals[name, checkpoint_x.run, layer_x, value] += 1
            else:
                similarity[name], null[name] = value
        comparisons.append(
            Comparison(
                kind,
                checkpoint_x.run,
                checkpoint_x.step,
                layer_x,
                checkpoint_y.run,
                checkpoint_y.step,
                layer_y,
                similarity,
                null,
            )
        )
    step = unit.checkpoints[0].step
    return comparisons, [Refusal(*place, step=step, count=count) for place, count in refusals.items()]


def _compute(measure: Measure, moments: Moments, x: str, y: str) -> tuple[float, float] | str:
    """Value and null level, or why there is none, in the layers' own names."""
    try:
        result = measure.compute(moments, x, y)
    except MeasureError as error:
        why = str(error)
        for view in sorted((x, y), key=len, reverse=True):
            why = why.replace(view, view.partition(":")[2])
        return why
    return result.value, result.null


def _parse(view: str, by_role: Mapping[str, Checkpoint]) -> tuple[Checkpoint, str]:
    role, _, layer = view.removeprefix(SHUFFLED).partition(":")
    return by_role[role], layer
