"""Many measures of many pairs on many parts of the speech, layer by layer once for each part."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np

from otoscope.errors import MeasureError
from otoscope.measures import registry
from otoscope.measures.inference.scales import Floats
from otoscope.measures.registry import Measure
from otoscope.measures.result import Similarity
from otoscope.measures.samples import Samples

__all__ = [
    "Blocks",
    "Key",
    "Outcome",
    "answered",
    "asked",
    "check_blocks_hold",
    "evaluate",
    "measures_of",
    "values_of",
]

Key = tuple[str, str, str]
"""A measure's name and two layers' names."""

Outcome = Similarity | MeasureError
"""A similarity, or why there is none."""

FEWEST = 3
MOST_OF_ONE = 0.5


class Blocks(Protocol):
    """Speech in blocks, with every block to be left out: `BlockMoments` or `BlockSamples`."""

    @property
    def total(self) -> Any:
        """All speech."""

    @property
    def sizes(self) -> tuple[int, ...]:
        """The frames of each block that holds speech."""

    def clusters_in(self, part: int) -> Sequence[Any]:
        """The labelled clusters in one block."""

    def without(self, part: int) -> Any:
        """All speech but one block."""

    def only(self, chosen: Sequence[int]) -> Any:
        """Some of the blocks."""


def measures_of(blocks: Blocks, names: str | Measure | Sequence[str | Measure]) -> list[Measure]:
    """The measures by name, once it is clear that they can be computed from such blocks."""
    given = [names] if isinstance(names, (str, Measure)) else list(names)
    measures = [name if isinstance(name, Measure) else registry.get(name) for name in given]
    if not measures or len({m.name for m in measures}) < len(measures):
        raise MeasureError(f"expected one or more different measures, got {names!r}")
    there = "samples" if isinstance(blocks.total, Samples) else "moments"
    for measure in measures:
        if measure.source != there:
            make = "BlockSamples.of" if measure.source == "samples" else "BlockMoments.of"
            raise MeasureError(
                f"'{measure.name}' is computed from {measure.source}, these blocks hold {there}; make them with {make}"
            )
    return measures


def check_blocks_hold(blocks: Blocks) -> None:
    """Refuse too few blocks, and one that holds most of the speech."""
    sizes = blocks.sizes
    if len(sizes) < FEWEST:
        raise MeasureError(
            f"{len(sizes)} of the blocks hold speech; an interval takes at least {FEWEST} clusters that are "
            "independent of each other (20 or more say much more). Give more utterances, or more speakers"
        )
    largest = int(np.argmax(sizes))
    share = sizes[largest] / sum(sizes)
    if share > MOST_OF_ONE:
        held = blocks.clusters_in(largest)
        who = f", cluster {held[0]!r}," if len(held) == 1 else ""
        raise MeasureError(
            f"one of {len(sizes)} blocks{who} holds {share:.0%} of the frames; what is left without it says little "
            "of the whole. Cut the longest utterance, or give more speech of others"
        )


def asked(measures: Sequence[Measure], pairs: Sequence[tuple[str, str]]) -> dict[Key, Key]:
    """What is worked out for each measure and pair: the same pair the other way round, where that is the same."""
    keys: dict[Key, Key] = {}
    for x, y in pairs:
        for measure in measures:
            turned = (measure.name, y, x)
            keys[measure.name, x, y] = turned if measure.symmetric and turned in keys else (measure.name, x, y)
    return keys


def answered(results: dict[Key, Outcome], keys: dict[Key, Key]) -> dict[Key, Outcome]:
    """The results of all that was asked, each with its layers in the order asked for."""
    found: dict[Key, Outcome] = {}
    for key, done in keys.items():
        result = results[done]
        if isinstance(result, Similarity) and key != done:
            ranks = None if result.ranks is None else result.ranks[::-1]
            result = replace(result, layers=key[1:], units=result.units[::-1], ranks=ranks)
        found[key] = result
    return found


def evaluate(source: Any, measures: Sequence[Measure], keys: Iterable[Key]) -> dict[Key, Outcome]:
    """Every measure of every pair on one source; a refusal stands in the place of its result."""
    by_name = {m.name: m for m in measures}
    found: dict[Key, Outcome] = {}
    for key in dict.fromkeys(keys):
        name, x, y = key
        try:
            found[key] = by_name[name].compute(source, x, y)
        except MeasureError as refusal:
            found[key] = refusal
    return found


def values_of(
    results: dict[Key, Outcome], parts: Iterable[tuple[str, Any]], measures: Sequence[Measure]
) -> dict[Key, Floats]:
    """The value of each result on each part; one that a part refuses becomes that refusal in `results`.

    `parts` are (what it is, the source), made one after another so that only one is held at a time.
    """
    by_name = {m.name: m for m in measures}
    rows: dict[Key, list[float]] = {key: [] for key, found in results.items() if isinstance(found, Similarity)}
    for what, source in parts:
        for key in list(rows):
            name, x, y = key
            try:
                rows[key].append(by_name[name].compute(source, x, y).value)
            except MeasureError as refusal:
                results[key] = MeasureError(f"no interval of {name}, since {what} cannot be measured: {refusal}")
                del rows[key]
    return {key: np.array(row) for key, row in rows.items()}
