"""How long comparing layers takes on this machine, from a few timed comparisons of noise."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from otoscope.asr import MEL_BINS
from otoscope.capture import INPUT, Layer
from otoscope.measures import Moments, Samples, registry
from otoscope.measures.inference import BlockMoments, jackknife_all
from otoscope.study.config import StudyConfig
from otoscope.study.cost import one_thread_seconds
from otoscope.study.counting import layers_of
from otoscope.study.units import Unit, looked_at, wanted_of
from otoscope.study.way import BLOCKS

__all__ = ["Pace", "unit_seconds"]

EVALUATIONS = 31
"""Of a measure that needs frames, for an interval: all speech, without each of 20 blocks, and ten halves."""


@dataclass(frozen=True)
class Pace:
    """Seconds on one core that one recogniser's layers take.

    `forward` for each second of speech; `summing` for each pair of layers and frame, `measuring` for each pair;
    `sampling` for each layer and squared frame of those that are kept.
    """

    forward: float
    summing: float
    measuring: float
    sampling: float

    @classmethod
    def of(cls, config: StudyConfig, forward: float, widest: int) -> Pace:
        """Times layers of so many units by the measures of a study."""
        return cls(forward, *_time_pair(config, widest), _time_samples(config, widest))


def unit_seconds(
    unit: Unit, paces: Mapping[str, Pace], layers: Mapping[str, Sequence[Layer]], *, seconds: float, frames: int
) -> float:
    """Seconds that a unit takes on one core, from the pace and the layers of each recogniser.

    Most measures that need frames cost their square for each layer, and little for a pair of layers; of two orders of
    a pair, one is worked out.
    """
    roles = looked_at(unit)
    own = [paces[checkpoint.run.rpartition("/")[0]] for checkpoint in roles.values()]
    pairs = {frozenset(views) for _, *views in wanted_of(unit, layers_of(unit, layers))}
    views = {view for pair in pairs for view in pair}
    forward = sum(pace.forward for pace in own) * seconds
    each = max(pace.summing for pace in own) * frames + max(pace.measuring for pace in own)
    sampled = len(views) * max(pace.sampling for pace in own) * min(frames, unit.samples) ** 2
    return forward + len(pairs) * each + sampled


def _time_pair(config: StudyConfig, units: int) -> tuple[float, float]:
    """Seconds to add up one pair of layers, for each frame, and to measure it, on one thread."""
    measures = [m for m in map(registry.get, config.measures) if m.source == "moments"]
    if not measures:
        return 0.0, 0.0
    n = BLOCKS * max(units // 4, 32)
    generator = torch.Generator().manual_seed(0)
    views = {str(i): torch.randn(n, units, generator=generator) for i in range(4)}
    pairs = list(itertools.combinations_with_replacement(views, 2))
    inputs = [(name, INPUT) for name in views] if any(m.given == INPUT for m in measures) else []
    if inputs:
        views[INPUT] = torch.randn(n, MEL_BINS, generator=generator)
    summing = one_thread_seconds(lambda: Moments.of(views, utterances=[n // 4] * 4, pairs=[*pairs, *inputs]))
    lengths = [n // BLOCKS] * BLOCKS

    def sums() -> BlockMoments | Moments:
        of = BlockMoments if config.intervals else Moments
        return of.of(views, utterances=lengths, pairs=[*pairs, *inputs])

    def measured() -> Any:
        moments = sums()
        if isinstance(moments, BlockMoments):
            return jackknife_all(moments, measures, pairs)
        return [measure.compute(moments, x, y) for x, y in pairs for measure in measures]

    measuring = max(0.0, one_thread_seconds(measured) - one_thread_seconds(sums))
    return summing / n / len(pairs), measuring / len(pairs)


def _time_samples(config: StudyConfig, units: int) -> float:
    """Seconds for each layer and squared frame, to compare it with others by the measures that need frames."""
    measures = [m for m in map(registry.get, config.measures) if m.source == "samples"]
    if not measures:
        return 0.0
    n = max(4 * units, 1024)
    generator = torch.Generator().manual_seed(0)
    views = {f"{i}": torch.randn(n, units, generator=generator) for i in range(2)}

    def pair() -> Any:
        samples = Samples.of(views, utterances=[n // 16] * 15 + [n - 15 * (n // 16)])
        return [measure.compute(samples, "0", "1") for measure in measures]

    return one_thread_seconds(pair) / n**2 / 2 * (EVALUATIONS if config.intervals else 1)
