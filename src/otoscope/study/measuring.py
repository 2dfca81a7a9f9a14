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

from otoscope.asr import FRAME_SHIFT_SECONDS, FeatureStore, ReferenceRecogniser, batches_by_length, pad
from otoscope.capture import SHUFFLED, Clusters, Layer, common_grid, gather, view_name
from otoscope.errors import MeasureError, StudyError
from otoscope.files import file_hash
from otoscope.measures import Measure, Moments, Samples, registry
from otoscope.study.folder import read_json, write_json
from otoscope.study.needs import (
    SAMPLES,
    Interval,
    Intervals,
    intervals_of,
    needs_of,
    on_grid,
    sources_of,
    without_roles,
)
from otoscope.study.rows import Comparison, Refusal

__all__ = [
    "BATCH_FRAMES",
    "REVISION",
    "Checkpoint",
    "Measured",
    "Unit",
    "compare",
    "is_done",
    "looked_at",
    "plan_units",
    "probe_batches",
    "read_unit",
    "run_unit",
    "wanted_of",
]

REVISION = 5
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
    checkpoints of different runs). `samples` is the most frames that are kept for measures which need them.
    """

    kind: str
    checkpoints: tuple[Checkpoint, ...]
    measures: tuple[Measure, ...]
    samples: int = SAMPLES

    @property
    def name(self) -> str:
        """A file name for the unit, unique within a study."""
        runs = "--".join(f"{c.run.replace('/', '.')}@{c.step}" for c in self.checkpoints)
        return f"{self.kind}-{runs}"


@dataclass(frozen=True)
class Measured:
    """What a unit gave: its comparisons, the refusals among them, and what they were measured on.

    `no_intervals` are refusals of the interval alone; `sampled` counts the frames and utterances whose frames were
    kept.
    """

    comparisons: tuple[Comparison, ...]
    refusals: tuple[Refusal, ...]
    no_intervals: tuple[Refusal, ...]
    frames: int
    utterances: int
    sampled: tuple[int, int]
    grid: float


def plan_units(
    runs: Mapping[str, Sequence[Checkpoint]], measures: Sequence[str], *, samples: int = SAMPLES
) -> list[Unit]:
    """Every unit of a study: `runs` maps run names to their checkpoints in order of steps."""
    chosen = tuple(map(registry.get, measures))  # objects, since a worker's registry knows only what it was born with
    units = []
    for checkpoints in runs.values():
        for i, now in enumerate(checkpoints):
            units.append(Unit("checkpoint", (now, checkpoints[-1], checkpoints[max(0, i - 1)]), chosen, samples))
        ends = dict.fromkeys((checkpoints[0], checkpoints[-1]))
        units += [Unit("shuffled", (end,), chosen, samples) for end in ends]
    for x, y in itertools.combinations(runs.values(), 2):
        units += [Unit("across", both, chosen, samples) for both in ((x[0], y[0]), (x[-1], y[-1]))]
    return units


def run_unit(
    unit: Unit, store_path: Path, probe: Sequence[str], folder: Path, clusters: Clusters | None = None
) -> None:
    """Does one unit and writes `<folder>/<unit.name>.json`; nothing where it is there for the same input.

    With `clusters` the values get intervals, but for shuffled utterances, where two clusters stand in each pair.
    """
    path = folder / f"{unit.name}.json"
    key = _key(unit, store_path, probe, clusters)
    if is_done(path, key):
        return
    store = FeatureStore(store_path)
    recognisers = {role: ReferenceRecogniser.load(c.path) for role, c in looked_at(unit).items()}
    layers = {role: recogniser.layers() for role, recogniser in recognisers.items()}
    grid = common_grid([layer for own in layers.values() for layer in own])
    wanted = list(wanted_of(unit, layers))
    pairs = [(x, y) for _, x, y in wanted]
    frames = {u: store.frames(u) for u in probe}
    seconds = {u: n * FRAME_SHIFT_SECONDS for u, n in frames.items()}
    batches = probe_batches(frames)
    gathered = gather(
        recognisers,
        (pad([store.get(u) for u in batch]) for batch in batches),
        batches,
        grid=grid,
        shuffled=unit.kind == "shuffled",
        clusters=None if unit.kind == "shuffled" else clusters,
        **needs_of(unit.measures, pairs, on_grid(seconds, grid), grid=grid, samples=unit.samples),
    )
    if gathered.utterances != len(probe):
        raise StudyError(f"{unit.name} saw {gathered.utterances} utterances of a probe set of {len(probe)}")
    sources = sources_of(gathered)
    ends = intervals_of(gathered, unit.measures, pairs)
    comparisons, refusals, no_intervals = compare(unit, sources, wanted, ends)
    samples = sources.get("samples")
    write_json(
        path,
        {
            "key": key,
            "frames": gathered.frames,
            "utterances": gathered.utterances,
            "sampled": [samples.frames, samples.utterances] if samples is not None else [0, 0],
            "grid": grid,
            "comparisons": [asdict(c) for c in comparisons],
            "refusals": [asdict(r) for r in refusals],
            "no_intervals": [asdict(r) for r in no_intervals],
        },
    )


def read_unit(unit: Unit, folder: Path) -> Measured:
    """What `run_unit` wrote."""
    found = read_json(folder / f"{unit.name}.json")
    return Measured(
        tuple(Comparison(**c) for c in found["comparisons"]),
        tuple(Refusal(**r) for r in found["refusals"]),
        tuple(Refusal(**r) for r in found["no_intervals"]),
        found["frames"],
        found["utterances"],
        tuple(found["sampled"]),
        found["grid"],
    )


def _key(unit: Unit, store_path: Path, probe: Sequence[str], clusters: Clusters | None) -> str:
    """A hash of everything the unit's numbers depend on."""
    weights = [file_hash(c.path) for c in unit.checkpoints]
    parts: list[object] = [REVISION, [m.name for m in unit.measures], weights, store_path.name, list(probe)]
    if any(m.source == "samples" for m in unit.measures):
        parts.append(unit.samples)
    if clusters is not None and unit.kind != "shuffled":
        parts.append([[u, clusters.of[u], clusters.blocks[clusters.of[u]]] for u in probe])
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _role(index: int, unit: Unit) -> str:
    return ("now", "final", "previous")[index] if unit.kind == "checkpoint" else ("x", "y")[index]


def _stand_ins(unit: Unit) -> dict[str, str]:
    """Each role and the role under which its checkpoint is looked at: the first of a checkpoint that has several."""
    first: dict[Checkpoint, str] = {}
    return {role: first.setdefault(c, role) for role, c in _by_role(unit).items()}


def _by_role(unit: Unit) -> dict[str, Checkpoint]:
    return {_role(i, unit): c for i, c in enumerate(unit.checkpoints)}


def looked_at(unit: Unit) -> dict[str, Checkpoint]:
    """Each distinct checkpoint, by the role under which it is looked at."""
    return {role: _by_role(unit)[role] for role in dict.fromkeys(_stand_ins(unit).values())}


def is_done(path: Path, key: str) -> bool:
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


def wanted_of(unit: Unit, layers: Mapping[str, Sequence[Layer]]) -> Iterable[Wanted]:
    """The comparisons of a unit, both orders of a pair among them, since not every measure is symmetric."""
    names = {role: [view_name(at, layer.name) for layer in layers[at]] for role, at in _stand_ins(unit).items()}
    if unit.kind == "checkpoint":
        yield from (("within", x, y) for x, y in itertools.product(names["now"], repeat=2))
        yield from (("to_final", x, y) for x, y in zip(names["now"], names["final"], strict=True))
        if unit.checkpoints[0] != unit.checkpoints[2]:
            yield from (("to_previous", x, y) for x, y in zip(names["now"], names["previous"], strict=True))
    elif unit.kind == "shuffled":
        yield from (("shuffled", x, SHUFFLED + y) for x, y in itertools.product(names["x"], repeat=2))
    else:
        yield from (("across", x, y) for x, y in itertools.product(names["x"], names["y"]))


def compare(
    unit: Unit,
    sources: Mapping[str, Moments | Samples],
    wanted: Sequence[Wanted],
    ends: Intervals,
) -> tuple[list[Comparison], list[Refusal], list[Refusal]]:
    """The comparisons with their intervals, what was refused, and what got no interval."""
    by_role = _by_role(unit)
    comparisons = []
    refusals: Counter[tuple[str, str, str, str]] = Counter()
    no_intervals: Counter[tuple[str, str, str, str]] = Counter()
    values: dict[tuple[str, str, str], tuple[float, float] | str] = {}
    for kind, x, y in wanted:
        (checkpoint_x, layer_x), (checkpoint_y, layer_y) = (_parse(v, by_role) for v in (x, y))
        similarity, null = {}, {}
        low, high, left_out = dict[str, float](), dict[str, float](), dict[str, tuple[float, ...]]()
        for measure in unit.measures:
            name = measure.name
            turned = values.get((name, y, x)) if measure.symmetric else None
            value = values[name, x, y] = turned or _compute(measure, sources[measure.source], x, y)
            end = ends.get((name, x, y), Interval(math.nan, math.nan, ()))
            if isinstance(value, str):
                similarity[name] = null[name] = math.nan
                refusals[name, checkpoint_x.run, layer_x, value] += 1
            else:
                similarity[name], null[name] = value
                if isinstance(end, str):
                    no_intervals[name, checkpoint_x.run, layer_x, end] += 1
            if ends:
                low[name], high[name] = (math.nan, math.nan) if isinstance(end, str) else end[:2]
                left_out[name] = () if isinstance(end, str) else end.left_out
        views = (checkpoint_x.run, checkpoint_x.step, layer_x, checkpoint_y.run, checkpoint_y.step, layer_y)
        comparisons.append(Comparison(kind, *views, similarity, null, low, high, left_out))
    step = unit.checkpoints[0].step
    told, untold = ([Refusal(*at, step=step, count=n) for at, n in c.items()] for c in (refusals, no_intervals))
    return comparisons, told, untold


def _compute(measure: Measure, source: Moments | Samples, x: str, y: str) -> tuple[float, float] | str:
    """Value and null level, or why there is none, in the layers' own names."""
    try:
        result = measure.compute(source, x, y)
    except MeasureError as error:
        return without_roles(str(error), x, y)
    return result.value, result.null


def _parse(view: str, by_role: Mapping[str, Checkpoint]) -> tuple[Checkpoint, str]:
    role, _, layer = view.removeprefix(SHUFFLED).partition(":")
    return by_role[role], layer
