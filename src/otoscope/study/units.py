"""The comparisons of a study, cut into units of work: one for each checkpoint, one for each pair of runs.

A unit sends the probe set once through the checkpoints that it needs, side by side.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from otoscope.capture import SHUFFLED, Layer, view_name
from otoscope.measures import Measure, registry
from otoscope.study.comparisons import EVERYTHING, Ask, At, Between, asked_by, asked_of_further_sets
from otoscope.study.config import StudyConfig
from otoscope.study.needs import SAMPLES

__all__ = [
    "Checkpoint",
    "Unit",
    "Wanted",
    "by_role",
    "looked_at",
    "plan_units",
    "units_of",
    "wanted_of",
]

ROLES = {
    "within": ("now",),
    "to_final": ("now", "final"),
    "to_previous": ("now", "previous"),
    "shuffled": ("x",),
    "across": ("x", "y"),
}
"""Of each kind of comparison, the roles that a unit's checkpoints have in it, in their order."""

Wanted = tuple[str, str, str]
"""A kind of comparison and the names of two views."""


@dataclass(frozen=True)
class Checkpoint:
    """One checkpoint of one run."""

    run: str
    step: int
    path: Path


@dataclass(frozen=True)
class Unit:
    """One unit of work.

    `kinds` are the comparisons that are made: "within", "to_final" and "to_previous" of one checkpoint, with the run's
    final and the previous one as second and third of `checkpoints`; or "shuffled" of one checkpoint; or "across", of
    two. `samples` is the most frames that are kept for measures which need them, `probe` the name of the probe set,
    empty for the main one.
    """

    kinds: tuple[str, ...]
    checkpoints: tuple[Checkpoint, ...]
    measures: tuple[Measure, ...]
    samples: int = SAMPLES
    probe: str = ""

    @property
    def kind(self) -> str:
        """ "checkpoint", "shuffled" or "across"."""
        return self.kinds[0] if self.kinds[0] in ("shuffled", "across") else "checkpoint"

    @property
    def name(self) -> str:
        """A file name for the unit, unique within a study, in a folder named after a further probe set."""
        named = self.checkpoints if self.kind == "across" else self.checkpoints[:1]
        runs = "--".join(f"{c.run.replace('/', '.')}@{c.step}" for c in named)
        return f"{self.probe}/{self.kind}-{runs}" if self.probe else f"{self.kind}-{runs}"


def units_of(config: StudyConfig, runs: Mapping[str, Sequence[Checkpoint]]) -> list[Unit]:
    """Every unit of a study; `runs` maps run names to their checkpoints in order of steps.

    Further probe sets are compared on by the first measure alone, by which a study makes its claims: that is all that
    F10 reads of them.
    """
    asked = asked_by(config.asked, config.matrices).values()
    main = frozenset(itertools.chain.from_iterable(asked))
    further = asked_of_further_sets(config.asked)
    sets = [("", main, config.measures), *((name, further, config.measures[:1]) for name in config.probes)]
    return [
        unit
        for name, asks, measures in sets
        for unit in plan_units(runs, measures, samples=config.samples, asks=asks, probe=name)
    ]


def plan_units(
    runs: Mapping[str, Sequence[Checkpoint]],
    measures: Sequence[str],
    *,
    samples: int = SAMPLES,
    asks: Collection[Ask] = EVERYTHING,
    probe: str = "",
) -> list[Unit]:
    """The units of one probe set that `asks` take; `runs` maps run names to their checkpoints in order of steps."""
    chosen = tuple(map(registry.get, measures))  # objects, since a worker's registry knows only what it was born with
    units = []
    for checkpoints in runs.values():
        for i, now in enumerate(checkpoints):
            places = {"every", *(["first"] if i == 0 else []), *(["final"] if i == len(checkpoints) - 1 else [])}
            asked = {ask.kind for ask in asks if ask.at in places}
            kinds = tuple(k for k in ("within", "to_final", "to_previous") if k in asked and (k != "to_previous" or i))
            if kinds:
                three = (now, checkpoints[-1], checkpoints[max(0, i - 1)])
                units.append(Unit(kinds, three, chosen, samples, probe))
            if "shuffled" in asked:
                units.append(Unit(("shuffled",), (now,), chosen, samples, probe))
    for x, y, between in _pairs_of_runs(list(runs)):
        ends: dict[At, tuple[Checkpoint, Checkpoint]]
        ends = {"first": (runs[x][0], runs[y][0]), "final": (runs[x][-1], runs[y][-1])}
        both = [pair for at, pair in ends.items() if Ask("across", at, between) in asks]
        units += [Unit(("across",), pair, chosen, samples, probe) for pair in dict.fromkeys(both)]
    return units


def _pairs_of_runs(runs: Sequence[str]) -> Iterator[tuple[str, str, Between]]:
    """Runs of one recogniser with each other, and of two recognisers with the same seed."""
    for x, y in itertools.combinations(runs, 2):
        (recogniser_x, _, seed_x), (recogniser_y, _, seed_y) = x.rpartition("/"), y.rpartition("/")
        if recogniser_x == recogniser_y:
            yield x, y, "seeds"
        elif seed_x == seed_y:
            yield x, y, "recognisers"


def by_role(unit: Unit) -> dict[str, Checkpoint]:
    """The checkpoints of a unit by their roles, those that its kinds of comparison need."""
    roles = ("now", "final", "previous") if unit.kind == "checkpoint" else ("x", "y")
    needed = {role for kind in unit.kinds for role in ROLES[kind]}
    return {role: c for role, c in zip(roles, unit.checkpoints, strict=False) if role in needed}


def _stand_ins(unit: Unit) -> dict[str, str]:
    """Each role and the role under which its checkpoint is looked at: the first of a checkpoint that has several."""
    first: dict[Checkpoint, str] = {}
    return {role: first.setdefault(c, role) for role, c in by_role(unit).items()}


def looked_at(unit: Unit) -> dict[str, Checkpoint]:
    """Each distinct checkpoint, by the role under which it is looked at."""
    return {role: by_role(unit)[role] for role in dict.fromkeys(_stand_ins(unit).values())}


def wanted_of(unit: Unit, layers: Mapping[str, Sequence[Layer]]) -> Iterator[Wanted]:
    """The comparisons of a unit, both orders of a pair among them, since not every measure is symmetric."""
    names = {role: [view_name(at, layer.name) for layer in layers[at]] for role, at in _stand_ins(unit).items()}
    for kind in unit.kinds:
        own = [names[role] for role in ROLES[kind]]
        if kind in ("to_final", "to_previous"):
            yield from ((kind, x, y) for x, y in zip(*own, strict=True))
        elif kind == "shuffled":
            yield from ((kind, x, SHUFFLED + y) for x, y in itertools.product(own[0], repeat=2))
        else:
            yield from ((kind, x, y) for x, y in itertools.product(own[0], own[-1]))
