"""What units of work left: one JSON file each, values by kind of comparison and by measure, each under its own key.

So a measure or a kind that is asked for later is added to what is there, and one that is asked for no more stays.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from otoscope.errors import StudyError
from otoscope.files import write_text
from otoscope.measures import Measure
from otoscope.study.folder import read_json
from otoscope.study.rows import Comparison, Refusal
from otoscope.study.units import Unit

__all__ = ["Keys", "Measured", "keep", "left_of", "read_about", "read_unit", "unit_path"]

Keys = Mapping[tuple[str, str], str]
"""By kind of comparison and name of measure, a hash of everything that the values depend on."""

VALUES = ("similarity", "null", "low", "high")
VIEWS = ("run_x", "step_x", "layer_x", "run_y", "step_y", "layer_y")


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


def unit_path(unit: Unit, folder: Path) -> Path:
    """Where a unit's values are."""
    return folder / f"{unit.name}.json"


def left_of(unit: Unit, folder: Path, keys: Keys) -> list[Unit]:
    """What of a unit is still to be done, mostly all or nothing: units that ask some measures for the same kinds."""
    parts = _parts(unit_path(unit, folder))
    groups: dict[tuple[str, ...], list[Measure]] = {}
    for measure in unit.measures:
        kinds = (k for k in unit.kinds if parts.get(k, {}).get(measure.name, {}).get("key") != keys[k, measure.name])
        groups.setdefault(tuple(kinds), []).append(measure)
    return [replace(unit, kinds=kinds, measures=tuple(own)) for kinds, own in groups.items() if kinds]


def keep(
    unit: Unit, folder: Path, keys: Keys, measured: Mapping[str, Measured], about: Mapping[str, object] | None = None
) -> None:
    """Adds what was measured, by kind, to a unit's file; `about` is written beside it.

    What else is in the file stays there, and is replaced where it is of the same kind and measure.
    """
    path = unit_path(unit, folder)
    parts = _parts(path)
    for kind, found in measured.items():
        for measure in unit.measures:
            part = _part(measure.name, found)
            parts.setdefault(kind, {})[measure.name] = {"key": keys[kind, measure.name], **part}
    write_text(path, json.dumps({**(about or {}), "parts": parts}, ensure_ascii=False) + "\n")


def read_unit(unit: Unit, folder: Path) -> Measured:
    """What was kept of a unit, as far as it asks for it."""
    parts = _parts(unit_path(unit, folder))
    comparisons: list[Comparison] = []
    refusals, no_intervals = Counter[Refusal](), Counter[Refusal]()
    own = [parts[kind][measure.name] for kind in unit.kinds for measure in unit.measures]
    for kind in unit.kinds:
        by_measure = {measure.name: parts[kind][measure.name] for measure in unit.measures}
        comparisons += _comparisons(kind, by_measure, unit.probe)
        for name, part in by_measure.items():
            for column, into in (("refusals", refusals), ("no_intervals", no_intervals)):
                for row in part[column]:
                    into[Refusal(**{**row, "measure": name, "probe": unit.probe, "count": 1})] += row["count"]
    told, untold = (tuple(replace(row, count=n) for row, n in c.items()) for c in (refusals, no_intervals))
    frames, utterances, grid = (own[0][name] for name in ("frames", "utterances", "grid"))
    sampled = max(tuple(part["sampled"]) for part in own)
    return Measured(tuple(comparisons), told, untold, frames, utterances, sampled, grid)


def read_about(unit: Unit, folder: Path) -> dict[str, Any]:
    """What was written beside a unit's values."""
    found = read_json(unit_path(unit, folder)) or {}
    return {name: value for name, value in found.items() if name != "parts"}


def _parts(path: Path) -> dict[str, dict[str, Any]]:
    """Kind → measure → values; nothing where there is no file, or one that was damaged or has another form."""
    try:
        return {kind: dict(parts) for kind, parts in read_json(path)["parts"].items()}
    except (StudyError, TypeError, KeyError, AttributeError):
        return {}


def _part(name: str, found: Measured) -> dict[str, Any]:
    """One measure's values of one kind; those without a block have the digits of float32, as in results."""
    with_ends = any(name in c.low for c in found.comparisons)
    return {
        "frames": found.frames,
        "utterances": found.utterances,
        "sampled": found.sampled,
        "grid": found.grid,
        "views": [[getattr(c, column) for column in VIEWS] for c in found.comparisons],
        **{column: _column(found.comparisons, column, name) for column in VALUES[: 4 if with_ends else 2]},
        "left_out": [[float(f"{v:.9g}") for v in c.left_out.get(name, ())] for c in found.comparisons],
        "refusals": [_without_measure(r) for r in found.refusals if r.measure == name],
        "no_intervals": [_without_measure(r) for r in found.no_intervals if r.measure == name],
    }


def _column(comparisons: Sequence[Comparison], column: str, measure: str) -> list[float]:
    return [getattr(c, column).get(measure, math.nan) for c in comparisons]


def _without_measure(refusal: Refusal) -> dict[str, Any]:
    return {name: value for name, value in asdict(refusal).items() if name not in ("measure", "probe")}


def _comparisons(kind: str, by_measure: Mapping[str, Mapping[str, Any]], probe: str) -> list[Comparison]:
    """The rows of one kind, with the values of all measures."""
    views = next(iter(by_measure.values()))["views"]
    made = []
    for i, view in enumerate(views):
        similarity, null, low, high = (
            {name: part[column][i] for name, part in by_measure.items() if column in part} for column in VALUES
        )
        left_out = {name: tuple(part["left_out"][i]) for name, part in by_measure.items() if "low" in part}
        named = dict(zip(VIEWS, view, strict=True))
        made.append(
            Comparison(
                kind, **named, similarity=similarity, null=null, low=low, high=high, left_out=left_out, probe=probe
            )
        )
    return made
