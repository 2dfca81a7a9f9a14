"""What the measures chosen need of a pass over speech, and their values and intervals from what it gathered."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, TypedDict

from otoscope.capture import INPUT, SHUFFLED, Gathered, Seconds, TokenGrid, spread_evenly
from otoscope.errors import MeasureError, StudyError
from otoscope.measures import Measure, Moments, Samples
from otoscope.measures.inference import BlockMoments, BlockSamples, jackknife_all

__all__ = [
    "LEVEL",
    "SAMPLES",
    "Interval",
    "Intervals",
    "Needs",
    "check_samples",
    "intervals_of",
    "needs_of",
    "on_grid",
    "sources_of",
    "without_roles",
]

SAMPLES = 5_000
"""Frames kept for the measures that need frames: several of them cost the square of this."""

LEVEL = 0.95
"""What the intervals are to cover."""

Pair = tuple[str, str]
Key = tuple[str, str, str]


class Needs(TypedDict):
    """What `gather` is to keep, as its keywords."""

    moments: bool
    sampled: list[str]
    pairs: list[Pair]
    inputs: bool


def needs_of(
    measures: Sequence[Measure],
    wanted: Iterable[Pair],
    steps: Mapping[str, int],
    *,
    grid: Seconds | TokenGrid,
    samples: int = SAMPLES,
) -> Needs:
    """What `measures` need to compare the `wanted` pairs of views.

    Arguments:
        measures: the measures.
        wanted: pairs of views, in any order and either way round: both have the same moments.
        steps: utterance → its frames, tokens or words on the grid.
        grid: seconds between the frames that are compared, or "token" or "word".
        samples: the most of these to keep for measures that need frames.

    Raises:
        StudyError: `samples` does not hold two whole utterances.
    """
    pairs = {frozenset(pair): pair for pair in wanted}
    inputs = any(m.given == INPUT for m in measures)
    if inputs:
        views = dict.fromkeys(view for pair in pairs.values() for view in pair)
        pairs |= {frozenset((view, INPUT)): (view, INPUT) for view in views}
    sampled = any(m.source == "samples" for m in measures)
    return {
        "moments": any(m.source == "moments" for m in measures),
        "sampled": _sampled(steps, grid, samples) if sampled else [],
        "pairs": list(pairs.values()),
        "inputs": inputs,
    }


def check_samples(measures: Sequence[Measure], seconds: Mapping[str, Seconds], *, grid: Seconds, samples: int) -> None:
    """Refuse early what `needs_of` would refuse once the layers are captured; `seconds` are utterances' lengths."""
    needs_of(measures, [], on_grid(seconds, grid), grid=grid, samples=samples)


def on_grid(seconds: Mapping[str, Seconds], grid: Seconds) -> dict[str, int]:
    """Utterance → its frames on the grid, from how long it is.

    >>> on_grid({"a": 1.0, "b": 1.01}, 0.04)
    {'a': 25, 'b': 26}
    """
    return {u: math.ceil(round(s / grid, 4)) for u, s in seconds.items()}


def _sampled(steps: Mapping[str, int], grid: Seconds | TokenGrid, samples: int) -> list[str]:
    chosen = spread_evenly(steps, samples)
    if len(chosen) < min(2, len(steps)):
        what = f"frames, one every {1000 * grid:g} ms" if isinstance(grid, float) else f"{grid}s"
        raise StudyError(
            f"samples is {samples} frames, which hold fewer than two whole utterances of up to {max(steps.values())} "
            f"{what}; raise it to {2 * max(steps.values())} or more"
        )
    return chosen


def sources_of(gathered: Gathered) -> dict[str, Moments | Samples]:
    """All that was gathered, by what measures call their source."""
    found: dict[str, Moments | Samples] = {}
    if gathered.moments is not None:
        found["moments"] = gathered.moments.total if isinstance(gathered.moments, BlockMoments) else gathered.moments
    if gathered.samples is not None:
        found["samples"] = gathered.samples.total if isinstance(gathered.samples, BlockSamples) else gathered.samples
    return found


class Interval(NamedTuple):
    """The ends of an interval, and the values without each block of speech that it comes from."""

    low: float
    high: float
    left_out: tuple[float, ...]


Intervals = dict[Key, Interval | str]
"""By measure and pair an interval, or why there is none."""


def intervals_of(gathered: Gathered, measures: Sequence[Measure], wanted: Iterable[Pair]) -> Intervals:
    """Intervals from a jackknife over blocks; empty without blocks."""
    found: Intervals = {}
    both = list(dict.fromkeys(wanted))
    one = list({frozenset(pair): pair for pair in both}.values())
    both.sort(key=lambda pair: one.index(pair) if pair in one else one.index(pair[::-1]))  # what a pair costs is shared
    for blocks in (gathered.moments, gathered.samples):
        if not isinstance(blocks, BlockMoments | BlockSamples):
            continue
        source = "moments" if isinstance(blocks, BlockMoments) else "samples"
        for pairs, symmetric in ((one, True), (both, False)):
            chosen = [m for m in measures if m.source == source and m.symmetric == symmetric]
            if not chosen:
                continue
            for (name, x, y), result in jackknife_all(blocks, chosen, pairs, level=LEVEL).items():
                end: Interval | str
                if isinstance(result, MeasureError):
                    end = without_roles(str(result), x, y)
                else:
                    assert result.low is not None
                    assert result.high is not None
                    assert result.left_out is not None
                    end = Interval(result.low, result.high, result.left_out)
                found[name, x, y] = end
                if symmetric:
                    found[name, y, x] = end
    return found


def without_roles(message: str, *views: str) -> str:
    """A message in the layers' own names, as users know them."""
    for view in sorted(views, key=len, reverse=True):
        message = message.replace(view, view.removeprefix(SHUFFLED).partition(":")[2] or view)
    return message
