"""Sums and differences of moments that are counted from one origin, without moving them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

import torch

from otoscope.measures.accumulator import Accumulator
from otoscope.measures.blocks import PairBlock, Sums
from otoscope.measures.moments import TO_UNITS, Moments

__all__ = ["aligned", "covariances_of", "same_origin", "stack", "sum_of"]

S = TypeVar("S", bound=Sums)


def sum_of(parts: Sequence[Moments], less: Sequence[Moments] = ()) -> Moments:
    """All of `parts` together, without those in `less`, which are among them."""
    if not all(same_origin(parts[0], other) for other in (*parts[1:], *less)):
        total = Accumulator.of(parts[0])
        for part in parts[1:]:
            total.add(part)
        for part in less:
            total.remove(part)
        return total.take()
    # Blocks of speech that were counted together have one origin: nothing needs to be moved.
    made = parts[0].copy()
    for part, sign in [*((p, 1) for p in parts[1:]), *((p, -1) for p in less)]:
        for name, layer in part.layers.items():
            (made.layers[name].add_ if sign > 0 else made.layers[name].sub_)(layer)
        for pair, block in part.blocks.items():
            (made.blocks[pair].add_ if sign > 0 else made.blocks[pair].sub_)(block)
        made = replace(
            made,
            _cache={},
            _pair_cache={},
            frames=made.frames + sign * part.frames,
            utterances=None if made.utterances is None else made.utterances + sign * (part.utterances or 0),
            squares=made.squares + sign * part.squares,
        )
    return made


def covariances_of(parts: Sequence[Moments], less: Sequence[Moments], like: Moments) -> Moments:
    """All of `parts` together without those in `less`, with covariances and nothing else of pairs.

    That is a fraction of the sums; what CKA's estimators take besides is NaN. `like` has the parts' origins, and what
    it knows of the axes is kept.
    """
    layers = {name: block.copy() for name, block in parts[0].layers.items()}
    crosses = {pair: block.cross.clone() for pair, block in parts[0].blocks.items()}
    for part, sign in [*((p, 1) for p in parts[1:]), *((p, -1) for p in less)]:
        for name, layer in part.layers.items():
            (layers[name].add_ if sign > 0 else layers[name].sub_)(layer)
        for pair, block in part.blocks.items():
            crosses[pair].add_(block.cross.to(crosses[pair].device), alpha=sign)

    def count(of: Callable[[Moments], int | None]) -> int:
        return sum(of(part) or 0 for part in parts) - sum(of(part) or 0 for part in less)

    return replace(
        like,
        frames=count(lambda part: part.frames),
        utterances=None if like.utterances is None else count(lambda part: part.utterances),
        squares=count(lambda part: part.squares),
        layers=layers,
        blocks={pair: PairBlock.of_covariance(cross) for pair, cross in crosses.items()},
        products={},
        _cache={key: value for key, value in like._cache.items() if isinstance(key, tuple) and key[0] == TO_UNITS},
        _pair_cache={},
    )


def aligned(parts: Sequence[Moments]) -> list[Moments]:
    """The same moments, all counted from the first one's origins along its axes."""
    return [part if same_origin(part, parts[0]) else (parts[0] + part) - parts[0] for part in parts]


def same_origin(one: Moments, other: Moments) -> bool:
    """Whether both count their frames from the same values, along the same axes."""
    if one.origins.keys() != other.origins.keys() or one.widths != other.widths or one.pairs != other.pairs:
        return False
    return all(
        _same(one.origins[name], other.origins[name]) and _same(one.axes[name], other.axes[name])
        for name in one.origins
    )


def _same(one: torch.Tensor | None, other: torch.Tensor | None) -> bool:
    if one is None or other is None:
        return one is other
    return one is other or (one.device == other.device and torch.equal(one, other))


def stack(blocks: Sequence[S]) -> S:
    """The same sums of several parts, on a first axis of parts."""
    tensors = [block.tensors() for block in blocks]
    return type(blocks[0])(*(_together([part[name] for part in tensors]) for name in tensors[0]))


def _together(values: Sequence[torch.Tensor | None]) -> torch.Tensor | None:
    there = [v for v in values if v is not None]
    return torch.stack([v.to(there[0].device) for v in there]) if there else None
