"""Many measures of many pairs on many parts of the speech, layer by layer once for each part."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from otoscope.errors import MeasureError
from otoscope.measures import registry
from otoscope.measures.inference.block_moments import BlockMoments
from otoscope.measures.inference.block_products import block_products
from otoscope.measures.inference.scales import Floats
from otoscope.measures.moments import Moments
from otoscope.measures.registry import Measure
from otoscope.measures.result import Similarity
from otoscope.measures.samples import Samples

__all__ = [
    "Blocks",
    "Key",
    "Outcome",
    "Part",
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


@dataclass(frozen=True, slots=True)
class Part:
    """Some of the blocks of speech: `what` it is, for messages, and how often each block occurs in it."""

    what: str
    weights: tuple[int, ...]


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

    def weighted(self, weights: Sequence[int]) -> Any:
        """Speech in which each block occurs so many times."""


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
    results: dict[Key, Outcome], blocks: Blocks, parts: Sequence[Part], measures: Sequence[Measure]
) -> dict[Key, Floats]:
    """The value of each result on each part; one that a part refuses becomes that refusal in `results`."""
    by_name = {m.name: m for m in measures}
    rows: dict[Key, list[float]] = {key: [] for key, found in results.items() if isinstance(found, Similarity)}
    # What goes by inner products needs no sums of its own on each part.
    inner = [key for key in rows if by_name[key[0]].inner and isinstance(blocks, BlockMoments)]
    for keys, sources in (
        (inner, _with_inner_products(blocks, parts, measures, inner)),
        ([key for key in rows if key not in set(inner)], (blocks.weighted(part.weights) for part in parts)),
    ):
        left = list(keys)
        if not left:
            continue
        # One part after another, so that only one is held at a time.
        for part, source in zip(parts, sources, strict=True):
            for key in list(left):
                name, x, y = key
                try:
                    rows[key].append(by_name[name].compute(source, x, y).value)
                except MeasureError as refusal:
                    results[key] = MeasureError(
                        f"no interval of {name}, since {part.what} cannot be measured: {refusal}"
                    )
                    left.remove(key)
                    del rows[key]
    return {key: np.array(row) for key, row in rows.items()}


def _with_inner_products(
    blocks: Blocks, parts: Sequence[Part], measures: Sequence[Measure], keys: Sequence[Key]
) -> Iterator[Moments]:
    if not keys:
        return
    assert isinstance(blocks, BlockMoments)
    given = [m.given for m in measures if m.inner and m.given is not None]
    names = dict.fromkeys(name for _, x, y in keys for name in (x, y))
    pairs = [(x, y) for _, x, y in keys] + [(name, name) for name in (*names, *given)]
    pairs += [(name, third) for name in names for third in given]
    yield from block_products(blocks, pairs, [part.weights for part in parts])
