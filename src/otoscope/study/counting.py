"""How many comparisons a study makes, counted by the code that makes them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from otoscope.capture import Layer
from otoscope.study.comparisons import asked_by
from otoscope.study.config import StudyConfig
from otoscope.study.units import Checkpoint, Unit, by_role, plan_units, units_of, wanted_of

__all__ = ["Counted", "count_comparisons"]


@dataclass(frozen=True)
class Counted:
    """The units of a study, and its comparisons by kind and by what asks for them, see `Plan`."""

    units: tuple[Unit, ...]
    by_kind: dict[str, int]
    by_question: dict[str, int]


def count_comparisons(
    config: StudyConfig, checkpoints: Mapping[str, int], layers: Mapping[str, Sequence[Layer]]
) -> Counted:
    """Counts pairs of layers; `checkpoints` and `layers` are those of each recogniser, by its name."""
    runs = {
        f"{name}/seed{seed}": [Checkpoint(f"{name}/seed{seed}", i, Path()) for i in range(checkpoints[name])]
        for name in config.recognisers
        for seed in config.seeds
    }
    units = units_of(config, runs)
    by_kind, by_question = Counter[str](), Counter[str]()
    for unit in units:
        found = Counter(kind for kind, _, _ in wanted_of(unit, layers_of(unit, layers)))
        by_kind += found
        if unit.probe:
            by_question[unit.probe] += found.total()
    asked = {
        id_: sum(
            len(list(wanted_of(unit, layers_of(unit, layers)))) for unit in plan_units(runs, config.measures, asks=asks)
        )
        for id_, asks in asked_by(config.asked, config.matrices).items()
    }
    return Counted(tuple(units), dict(by_kind), asked | by_question)


def layers_of(unit: Unit, layers: Mapping[str, Sequence[Layer]]) -> dict[str, Sequence[Layer]]:
    """The layers of a unit's checkpoints by role, from those of each recogniser."""
    return {role: layers[checkpoint.run.rpartition("/")[0]] for role, checkpoint in by_role(unit).items()}
