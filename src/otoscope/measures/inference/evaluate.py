"""Many measures of many pairs on many parts of the speech, layer by layer once for each part."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
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
    there = "moments" if isinstance(blocks, BlockMoments) else "samples"
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


def evaluate(
    blocks: Blocks,
    measures: Sequence[Measure],
    keys: Iterable[Key],
    parts: Sequence[Part],
    *,
    known: Mapping[Key, Outcome] | None = None,
) -> tuple[dict[Key, Outcome], dict[Key, Floats]]:
    """Every measure of every pair on all speech, unless that is `known`, and its values on parts of it.

    A refusal stands in the place of its result, also where it is a part that is refused.
    """
    by_name = {m.name: m for m in measures}
    asked = list(dict.fromkeys(keys))
    first_of = {pair: i for i, pair in reversed(list(enumerate(key[1:] for key in asked)))}
    asked.sort(key=lambda key: (first_of[key[1:]], not by_name[key[0]].directions))
    inner = [key for key in asked if by_name[key[0]].inner and isinstance(blocks, BlockMoments)]
    others = [key for key in asked if key not in set(inner)]
    whole = Part("all speech", (1,) * len(blocks.sizes))
    results: dict[Key, Outcome] = dict(known or {})
    values: dict[Key, list[float]] = {key: [r.value] for key, r in results.items() if isinstance(r, Similarity)}
    # One part after another, so that only one is held at a time.
    if inner:
        for part, source in zip([whole, *parts], _products(blocks, [whole, *parts], measures, inner), strict=True):
            _add(results, values, by_name, inner, part, source)
    if others and known is None:
        _add(results, values, by_name, others, whole, blocks.total)
    once = isinstance(blocks, BlockMoments) and all(w <= 1 for part in parts for w in part.weights)
    lean = [key for key in others if once and by_name[key[0]].lean]
    rest = [key for key in others if key not in set(lean)]
    for part in parts:
        if lean:
            assert isinstance(blocks, BlockMoments)
            _add(results, values, by_name, lean, part, blocks.covariances(part.weights))
        if rest:
            _add(results, values, by_name, rest, part, blocks.weighted(part.weights))
    return {key: results[key] for key in asked}, {key: np.array(row[1:]) for key, row in values.items()}


def _add(
    results: dict[Key, Outcome],
    values: dict[Key, list[float]],
    measures: Mapping[str, Measure],
    keys: Sequence[Key],
    part: Part,
    source: Any,
) -> None:
    """Each key's value on one part, the first being all speech; keys that were refused are left as they are."""
    for key in keys:
        if isinstance(results.get(key), MeasureError):
            continue
        measure, (x, y) = measures[key[0]], key[1:]
        try:
            if key in results and measure.alone is not None:
                values[key].append(measure.alone(source, x, y))
                continue
            found = measure.compute(source, x, y)
        except MeasureError as refusal:
            if key in results:
                refusal = MeasureError(
                    f"no interval of {measure.name}, since {part.what} cannot be measured: {refusal}"
                )
            results[key] = refusal
            values.pop(key, None)
            continue
        results.setdefault(key, found)
        values.setdefault(key, []).append(found.value)


def _products(
    blocks: Blocks, parts: Sequence[Part], measures: Sequence[Measure], keys: Sequence[Key]
) -> Iterator[Moments]:
    """What inner products suffice for: no part takes sums of its own."""
    assert isinstance(blocks, BlockMoments)
    given = [m.given for m in measures if m.inner and m.given is not None]
    names = dict.fromkeys(name for _, x, y in keys for name in (x, y))
    pairs = [(x, y) for _, x, y in keys] + [(name, name) for name in (*names, *given)]
    pairs += [(name, third) for name in names for third in given]
    return block_products(blocks, pairs, [part.weights for part in parts])
