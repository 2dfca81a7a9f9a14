"""Comparisons that could not be made: named, and laid into the results as values that were not computed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from safetensors import SafetensorError, safe_open

from otoscope.capture import SHUFFLED, Layer
from otoscope.study.missing import Missing
from otoscope.study.rows import Comparison
from otoscope.study.units import Checkpoint, Unit, by_role, looked_at, wanted_of

__all__ = ["Gap", "split_off_unreadable"]


@dataclass(frozen=True)
class Gap:
    """A unit of work, or some of its kinds of comparison, that failed for a reason."""

    unit: Unit
    reason: str

    @property
    def missing(self) -> Missing:
        """What is told of it."""
        first, *others = by_role(self.unit).values() if self.unit.kind == "across" else self.unit.checkpoints[:1]
        beside = "".join(f" with {c.run} at step {c.step}" for c in others)
        on = f" on probe set {self.unit.probe}" if self.unit.probe else ""
        part = f"{', '.join(self.unit.kinds)} at step {first.step}{beside}{on}"
        return Missing(first.run, "comparing", self.reason, part)

    def comparisons(self, layers: Mapping[str, Sequence[Layer]]) -> Iterator[Comparison]:
        """The rows that it would have given, all NaN, so that matrices and curves keep their shape.

        `layers` are those of each run.
        """
        roles = looked_at(self.unit)
        nothing = dict.fromkeys((m.name for m in self.unit.measures), math.nan)
        for kind, x, y in wanted_of(self.unit, {role: layers[c.run] for role, c in roles.items()}):
            views = [view.removeprefix(SHUFFLED).partition(":") for view in (x, y)]
            (of_x, layer_x), (of_y, layer_y) = ((roles[role], layer) for role, _, layer in views)
            yield Comparison(
                kind,
                of_x.run,
                of_x.step,
                layer_x,
                of_y.run,
                of_y.step,
                layer_y,
                nothing,
                nothing,
                probe=self.unit.probe,
            )


def split_off_unreadable(units: Sequence[Unit]) -> tuple[list[Unit], list[Gap]]:
    """The units as far as their checkpoints can be opened, and what is lost with those that cannot.

    So a damaged checkpoint costs its own comparisons, and not those of the one that comes after it.
    """
    why = {c: _fault(c.path) for c in dict.fromkeys(c for unit in units for c in unit.checkpoints)}
    whole: list[Unit] = []
    gaps: list[Gap] = []
    for unit in units:
        faults = {kind: _first_fault(replace(unit, kinds=(kind,)), why) for kind in unit.kinds}
        kept = tuple(kind for kind in unit.kinds if not faults[kind])
        if kept:
            whole.append(unit if kept == unit.kinds else replace(unit, kinds=kept))
        lost = tuple(kind for kind in unit.kinds if faults[kind])
        if lost:
            gaps.append(Gap(replace(unit, kinds=lost), faults[lost[0]]))
    return whole, gaps


def _first_fault(unit: Unit, why: Mapping[Checkpoint, str]) -> str:
    return next((why[c] for c in by_role(unit).values() if why[c]), "")


def _fault(path: Path) -> str:
    """Why a checkpoint cannot be opened, empty where it can. A file cut short is noticed, wrong bytes in it are not."""
    try:
        with safe_open(str(path), framework="pt"):
            return ""
    except (OSError, SafetensorError) as error:
        return f"{path} cannot be read as a safetensors checkpoint: {error}"
