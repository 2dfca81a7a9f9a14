"""One unit of work done: a pass over the probe set, every comparison in it, a file that keeps them."""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from otoscope.asr import FRAME_SHIFT_SECONDS, FeatureStore, batches_by_length, pad
from otoscope.capture import SHUFFLED, Gathered, common_grid, gather
from otoscope.errors import MeasureError, StudyError
from otoscope.files import file_hash
from otoscope.float32 import fast_float32
from otoscope.measures import Measure, Moments, Samples
from otoscope.study.kept import Keys, Measured, keep, left_of, read_unit
from otoscope.study.needs import Interval, Intervals, intervals_of, needs_of, on_grid, sources_of, without_roles
from otoscope.study.probes import ProbeSet
from otoscope.study.remembering import Remembering, forget
from otoscope.study.rows import Comparison, Refusal
from otoscope.study.units import Checkpoint, Unit, Wanted, by_role, looked_at, wanted_of

__all__ = [
    "BATCH_FRAMES",
    "REVISION",
    "Checkpoint",
    "compare",
    "compare_kinds",
    "probe_batches",
    "read_unit",
    "run_unit",
    "unit_tasks",
]

REVISION = 7
"""Raised whenever a change of the code changes a number that a unit gives: units of another revision are done anew."""

BATCH_FRAMES = 6_000
"""Input frames in one batch of the probe set, a minute of speech: what bounds the memory of a comparison."""

Task = tuple[Callable[..., None], tuple[Any, ...]]


def unit_tasks(units: Sequence[Unit], sets: Mapping[str, ProbeSet], folder: Path) -> dict[str, Task]:
    """The tasks that are left of some units, for `otoscope.engines.run_all`, by the units' names.

    Every checkpoint is hashed once. One that cannot be read is left to its tasks, to fail there.
    """
    hashes = {c.path: _hash(c.path) for c in dict.fromkeys(c for unit in units for c in unit.checkpoints)}
    tasks: dict[str, Task] = {}
    for unit in units:
        probe = sets[unit.probe]
        keys = _keys(unit, probe, hashes)
        if left_of(unit, folder, keys):
            tasks[unit.name] = run_unit, (unit, keys, probe, folder)
    return tasks


def run_unit(unit: Unit, keys: Keys, probe: ProbeSet, folder: Path) -> None:
    """Does what is left of one unit, and adds it to the unit's file in `folder`.

    Where the probe set has clusters the values get intervals, but for shuffled utterances, where two clusters stand in
    each pair.
    """
    for part in left_of(unit, folder, keys):
        keep(part, folder, keys, _measured(part, probe))
        forget()


def _measured(unit: Unit, probe: ProbeSet) -> dict[str, Measured]:
    """One pass over a probe set."""
    store = FeatureStore(probe.store)
    heard = hashlib.sha256(json.dumps([probe.features, list(probe.utterances)]).encode()).hexdigest()
    recognisers = {role: Remembering(c.path, f"{_hash(c.path)} {heard}") for role, c in looked_at(unit).items()}
    layers = {role: recogniser.layers() for role, recogniser in recognisers.items()}
    grid = probe.grid * common_grid([layer for own in layers.values() for layer in own])
    wanted = list(wanted_of(unit, layers))
    pairs = [(x, y) for _, x, y in wanted]
    frames = {u: store.frames(u) for u in probe.utterances}
    seconds = {u: n * FRAME_SHIFT_SECONDS for u, n in frames.items()}
    batches = probe_batches(frames)
    with fast_float32():
        gathered = gather(
            recognisers,
            (pad([store.get(u) for u in batch]) for batch in batches),
            batches,
            grid=grid,
            shuffled=unit.kind == "shuffled",
            clusters=None if unit.kind == "shuffled" else probe.clusters,
            **needs_of(unit.measures, pairs, on_grid(seconds, grid), grid=grid, samples=unit.samples),
        )
    if gathered.utterances != len(probe.utterances):
        raise StudyError(f"{unit.name} saw {gathered.utterances} utterances of a probe set of {len(probe.utterances)}")
    return compare_kinds(unit, gathered, wanted, grid)


def compare_kinds(unit: Unit, gathered: Gathered, wanted: Sequence[Wanted], grid: float) -> dict[str, Measured]:
    """What one pass gave, by kind of comparison."""
    sources = sources_of(gathered)
    ends = intervals_of(gathered, unit.measures, [(x, y) for _, x, y in wanted])
    samples = sources.get("samples")
    sampled = (samples.frames, samples.utterances or 0) if samples is not None else (0, 0)
    found = {}
    for kind in unit.kinds:
        comparisons, refusals, no_intervals = compare(unit, sources, [row for row in wanted if row[0] == kind], ends)
        told = tuple(comparisons), tuple(refusals), tuple(no_intervals)
        found[kind] = Measured(*told, gathered.frames, gathered.utterances, sampled, grid)
    return found


def _keys(unit: Unit, probe: ProbeSet, hashes: Mapping[Path, str]) -> Keys:
    """By kind and measure a hash of everything the numbers depend on."""
    speech = [probe.features, list(probe.utterances), probe.grid]
    of = probe.clusters
    blocks = [] if of is None else [[u, of.of[u], of.blocks[of.of[u]]] for u in probe.utterances]
    keys = {}
    for kind in unit.kinds:
        weights = [hashes[c.path] for c in by_role(replace(unit, kinds=(kind,))).values()]
        for m in unit.measures:
            parts = [REVISION, kind, m.name, weights, speech, unit.samples if m.source == "samples" else None]
            parts.append([] if kind == "shuffled" else blocks)
            keys[kind, m.name] = hashlib.sha256(json.dumps(parts).encode()).hexdigest()
    return keys


def _hash(path: Path) -> str:
    try:
        return file_hash(path)
    except OSError:
        return ""


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


def compare(
    unit: Unit,
    sources: Mapping[str, Moments | Samples],
    wanted: Sequence[Wanted],
    ends: Intervals,
) -> tuple[list[Comparison], list[Refusal], list[Refusal]]:
    """The comparisons with their intervals, what was refused, and what got no interval."""
    roles = by_role(unit)
    comparisons = []
    refusals: Counter[tuple[str, str, str, str]] = Counter()
    no_intervals: Counter[tuple[str, str, str, str]] = Counter()
    values: dict[tuple[str, str, str], tuple[float, float] | str] = {}
    for kind, x, y in wanted:
        (checkpoint_x, layer_x), (checkpoint_y, layer_y) = (_parse(v, roles) for v in (x, y))
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


def _parse(view: str, roles: Mapping[str, Checkpoint]) -> tuple[Checkpoint, str]:
    role, _, layer = view.removeprefix(SHUFFLED).partition(":")
    return roles[role], layer
