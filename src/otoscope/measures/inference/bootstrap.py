"""Intervals by drawing blocks of speech with replacement."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np

from otoscope.errors import MeasureError
from otoscope.measures.inference.block_moments import BlockMoments
from otoscope.measures.inference.evaluate import (
    Key,
    Outcome,
    Part,
    answered,
    asked,
    check_blocks_hold,
    evaluate,
    measures_of,
)
from otoscope.measures.inference.halves import Halves, parts_of, split
from otoscope.measures.inference.jackknife import interval
from otoscope.measures.inference.scales import PLAIN, Floats, is_rough, scale_of
from otoscope.measures.inference.student import check_level
from otoscope.measures.registry import Measure
from otoscope.measures.result import Similarity

__all__ = ["bootstrap", "bootstrap_all"]

RESAMPLES = 200
FEWEST = 50


def bootstrap(
    blocks: BlockMoments,
    measure: str | Measure,
    x: str,
    y: str,
    *,
    level: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
    rough: Collection[str] | None = None,
) -> Similarity:
    """A similarity with the interval that drawing blocks of speech with replacement gives.

    Formula: B blocks are drawn from the B with replacement, so many times; θ* is the value on each such collection
    (see `Resampler` for what copies count), on Fisher's z scale or the logarithm for distances. The interval is
    θ − bias ± t √(B/(B − 1) V*), V* the variance of θ* and t with B − 1 degrees of freedom; the bias comes from
    halves of the blocks, as in `jackknife`. For the measures in `rough` it spans the corrections for a bias that
    falls as 1/n and as 1/√n.

    Use it to check a jackknife interval by other means. It covers no better (docs/results/coverage/README.md) and, but
    for CKA, costs about seven times as much. The percentiles of θ* are no interval: a collection with copies has fewer
    different utterances, and so twice the bias.

    Arguments:
        blocks: the moments of blocks of speech.
        measure: a registered measure that follows from moments, by name or itself.
        x: the first layer's name.
        y: the second layer's name.
        level: the share of studies whose interval is to cover the true value.
        resamples: how many collections are drawn, at least 50.
        seed: of the draws; the same seed gives the same interval.
        rough: the names of measures whose bias may fall as slowly as 1/√n; as `Measure.rough` says where not given.

    Returns:
        The similarity on all speech, with `low`, `high`, `level`, `standard_error` and `interval="bootstrap"`;
        otherwise as for `jackknife`.

    Raises:
        MeasureError: as for `jackknife`; fewer than 50 resamples.

    Source: Efron & Tibshirani 1993; Davison & Hinkley 1997, section 3.8 (clusters).

    >>> import torch
    >>> from otoscope.measures.inference import BlockMoments
    >>> g = torch.Generator().manual_seed(0)
    >>> a, b, c = (torch.randn(2000, 6, generator=g) for _ in range(3))
    >>> kept = BlockMoments.of({"x": torch.cat([a, b], 1), "y": torch.cat([a, c], 1)}, utterances=[50] * 40)
    >>> found = bootstrap(kept, "cka", "x", "y", resamples=50)
    >>> found.low < 0.5 < found.high, found.interval
    (True, 'bootstrap')
    """
    found = bootstrap_all(blocks, [measure], [(x, y)], level=level, resamples=resamples, seed=seed, rough=rough)
    (result,) = found.values()
    if isinstance(result, MeasureError):
        raise result
    return result


def bootstrap_all(
    blocks: BlockMoments,
    measures: str | Measure | Sequence[str | Measure],
    pairs: Sequence[tuple[str, str]],
    *,
    level: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
    rough: Collection[str] | None = None,
) -> dict[Key, Outcome]:
    """`bootstrap` of many measures and pairs, each collection drawn once for all; arguments as there and for
    `jackknife_all`, and so is what comes back.
    """
    check_level(level)
    if resamples < FEWEST:
        raise MeasureError(f"resamples is {resamples}; a standard error takes at least {FEWEST}, and 200 are usual")
    check_blocks_hold(blocks)
    chosen, splits, sizes = measures_of(blocks, measures), split(len(blocks.sizes)), blocks.sizes
    keys = asked(chosen, pairs)
    halved, collections = parts_of(splits, sizes), _collections(len(sizes), resamples, seed)
    results, values = evaluate(blocks, chosen, keys.values(), [*halved, *collections])
    by_name = {m.name: m for m in chosen}
    for key, found in results.items():
        if not isinstance(found, Similarity):
            continue
        halves, drawn, measure = values[key][: len(halved)], values[key][len(halved) :], by_name[key[0]]
        scale = scale_of(measure, np.array([found.value, *values[key]]))
        about = Halves.of(float(scale.to(np.array(found.value))), scale.to(halves), splits, sizes)
        error = _error(scale.to(drawn), len(sizes))
        low, high = interval(scale, found.value, about, error, len(sizes), level, rough=is_rough(measure, rough))
        natural = _error(PLAIN.to(drawn), len(sizes))
        results[key] = replace(found, low=low, high=high, level=level, standard_error=natural, interval="bootstrap")
    return answered(results, keys)


def _error(drawn: Floats, blocks: int) -> float:
    """The standard error: drawing from B blocks spreads by (B − 1)/B too little."""
    return math.sqrt(float(drawn.var(ddof=1)) * blocks / (blocks - 1))


def _collections(blocks: int, resamples: int, seed: int) -> list[Part]:
    random, parts = np.random.default_rng(seed), list[Part]()
    for k in range(resamples):
        weights = np.bincount(random.integers(0, blocks, blocks), minlength=blocks)
        while np.count_nonzero(weights) < 2:  # copies of one block alone have no pair of different utterances
            weights = np.bincount(random.integers(0, blocks, blocks), minlength=blocks)
        parts.append(Part(f"collection {k} of blocks drawn with replacement", tuple(weights.tolist())))
    return parts
