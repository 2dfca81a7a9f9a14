"""Intervals by leaving out one block of speech after another."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np

from otoscope.errors import MeasureError
from otoscope.measures.inference.block_moments import BlockMoments
from otoscope.measures.inference.evaluate import (
    Blocks,
    Key,
    Outcome,
    Part,
    answered,
    asked,
    check_blocks_hold,
    evaluate,
    measures_of,
)
from otoscope.measures.inference.halves import Halves, Split, parts_of, split
from otoscope.measures.inference.linear import left_out_linearly
from otoscope.measures.inference.scales import PLAIN, Floats, Scale, is_rough, scale_of
from otoscope.measures.inference.student import check_level, t_quantile
from otoscope.measures.registry import Measure
from otoscope.measures.result import Similarity

__all__ = ["interval", "jackknife", "jackknife_all", "spread"]


def jackknife(
    blocks: Blocks, measure: str | Measure, x: str, y: str, *, level: float = 0.95, rough: Collection[str] | None = None
) -> Similarity:
    """A similarity with the interval that leaving out blocks of speech gives.

    Formula: with θ on a scale of constant spread (Fisher's z; the logarithm for distances), θ₍b₎ without block b, h_b
    the frames of all over those of block b, and pseudovalues θ̃_b = h_b θ − (h_b − 1) θ₍b₎ about the estimate
    θ_J = Σ (θ − θ₍b₎) + Σ θ₍b₎/h_b,

    V = (1/B) Σ (θ̃_b − θ_J)² / (h_b − 1),

    less its second-order part, which the jackknife counts twice (at most half of V), and the interval
    θ − bias ± t √V with B − 1 degrees of freedom. Bias and second-order part come from halves of the blocks (see
    `Halves`). For the measures in `rough` the bias may fall as 1/n or as 1/√n: the interval spans both corrections,
    and V is taken whole.

    Use it for an interval of any measure: one evaluation for each block and ten more, at once for CKA. Where a measure
    has a derivative, θ₍b₎ comes from that (see `left_out_linearly`), and V is taken whole. It is the interval that the
    coverage table in docs/results/coverage/README.md recommends. Not with fewer than about ten
    clusters, nor where a few hold most of the speech.

    Arguments:
        blocks: `BlockMoments`, or `BlockSamples` for a measure that needs samples.
        measure: a registered measure, by name or itself.
        x: the first layer's name.
        y: the second layer's name.
        level: the share of studies whose interval is to cover the true value.
        rough: the names of measures whose bias may fall as slowly as 1/√n; as `Measure.rough` says where not given.

    Returns:
        The similarity on all speech, with `low`, `high`, `level`, `standard_error` (of the value as it is),
        `interval="jackknife"` and the values that it comes from in `left_out`. `value` keeps its bias and the interval
        does not: a `cca` or biased CKA of few frames may lie above its own interval. Ends are not clamped.

    Raises:
        MeasureError: fewer than 3 blocks with speech; one block with more than half of it; blocks of the wrong kind;
            speech without one block, or half of it, on which the measure is refused.

    Source: Busing, Meijer & van der Leeden 1999 (blocks of unequal size); Efron & Stein 1981 (the second-order part).

    >>> import torch
    >>> from otoscope.measures.inference import BlockMoments
    >>> g = torch.Generator().manual_seed(0)
    >>> a, b, c = (torch.randn(2000, 6, generator=g) for _ in range(3))
    >>> kept = BlockMoments.of({"x": torch.cat([a, b], 1), "y": torch.cat([a, c], 1)}, utterances=[50] * 40)
    >>> found = jackknife(kept, "cka", "x", "y")
    >>> found.low < 0.5 < found.high, found.interval, found.level
    (True, 'jackknife', 0.95)
    """
    found = jackknife_all(blocks, [measure], [(x, y)], level=level, rough=rough)
    (result,) = found.values()
    if isinstance(result, MeasureError):
        raise result
    return result


def jackknife_all(
    blocks: Blocks,
    measures: str | Measure | Sequence[str | Measure],
    pairs: Sequence[tuple[str, str]],
    *,
    level: float = 0.95,
    rough: Collection[str] | None = None,
) -> dict[Key, Outcome]:
    """`jackknife` of many measures and pairs: what a layer needs is worked out once for each block left out.

    Arguments:
        blocks: as for `jackknife`.
        measures: registered measures, by name or themselves.
        pairs: the pairs of layers.
        level: as for `jackknife`.
        rough: as for `jackknife`.

    Returns:
        The similarity by (measure, x, y). Where a measure refuses a pair, or a part of its speech, the MeasureError
        stands in its place.
    """
    check_level(level)
    check_blocks_hold(blocks)
    chosen, splits = measures_of(blocks, measures), split(len(blocks.sizes))
    keys = asked(chosen, pairs)
    without, halved = _left_out(blocks.sizes), parts_of(splits, blocks.sizes)
    by_name = {m.name: m for m in chosen}
    linear, others = list[Key](), list[Key]()
    for key in dict.fromkeys(keys.values()):
        (linear if by_name[key[0]].gradient and isinstance(blocks, BlockMoments) else others).append(key)
    results, values = evaluate(blocks, chosen, others, [*without, *halved])
    if linear:
        assert isinstance(blocks, BlockMoments)
        known, left_out = left_out_linearly(blocks, chosen, linear)
        more, of_halves = evaluate(blocks, chosen, linear, halved, known=known)
        results |= more
        values |= {key: np.concatenate([left_out[key], of_halves[key]]) for key in of_halves}
    for key, found in results.items():
        if isinstance(found, Similarity):
            left, halves, measure = values[key][: len(without)], values[key][len(without) :], by_name[key[0]]
            scale, coarse = scale_of(measure, np.array([found.value, *values[key]])), is_rough(measure, rough)
            counted_twice = not coarse and measure.gradient is None
            spreads = [
                _error(s, found.value, left, halves, splits, blocks.sizes, counted_twice) for s in (scale, PLAIN)
            ]
            low, high = interval(scale, found.value, *spreads[0], len(blocks.sizes), level, rough=coarse)
            results[key] = replace(
                found,
                low=low,
                high=high,
                level=level,
                standard_error=spreads[1][1],
                interval="jackknife",
                left_out=tuple(left.tolist()),
            )
    return answered(results, keys)


def spread(value: float, left: Floats, sizes: Sequence[int]) -> float:
    """V: the variance of an estimate from its values without each block."""
    h = sum(sizes) / np.array(sizes)
    centre = (value - left).sum() + (left / h).sum()
    return float((((h * value - (h - 1) * left) - centre) ** 2 / (h - 1)).mean())


def interval(
    scale: Scale, value: float, halves: Halves, error: float, blocks: int, level: float, *, rough: bool
) -> tuple[float, float]:
    """The ends of the interval, from bias and standard error on the scale."""
    at, reach = float(scale.to(np.array(value))), t_quantile((1 + level) / 2, blocks - 1) * error
    centres = [at - halves.bias, at - halves.root_bias] if rough else [at - halves.bias]
    ends = scale.back(np.array([min(centres) - reach, max(centres) + reach]))
    return float(ends[0]), float(ends[1])


def _error(
    scale: Scale,
    value: float,
    left: Floats,
    halves: Floats,
    splits: Sequence[Split],
    sizes: Sequence[int],
    counted_twice: bool,
) -> tuple[Halves, float]:
    """What halves say, and the standard error, on the scale; less the second-order part where it is counted twice."""
    at = float(scale.to(np.array(value)))
    about = Halves.of(at, scale.to(halves), splits, sizes)
    variance = spread(at, scale.to(left), sizes)
    if counted_twice:
        variance = max(variance - about.second_order, variance / 2)
    return about, math.sqrt(variance)


def _left_out(sizes: Sequence[int]) -> list[Part]:
    return [
        Part(
            f"the speech without block {b} ({frames} of {sum(sizes)} frames)",
            tuple(int(other != b) for other in range(len(sizes))),
        )
        for b, frames in enumerate(sizes)
    ]
