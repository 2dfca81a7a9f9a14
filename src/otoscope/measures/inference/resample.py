"""Moments of speech in which blocks occur several times or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

import torch

from otoscope.measures.blocks import LayerBlock, PairBlock, Sums
from otoscope.measures.inference.combine import aligned, stack
from otoscope.measures.moments import Moments, Pair

__all__ = ["Resampler"]

S = TypeVar("S", bound=Sums)


class Resampler:
    """Moments from whole-number weights of blocks, for a cluster bootstrap without another pass.

    Formula: block b occurs w_b times. Sums over frames are Σ w_b times the block's. Estimators that leave pairs of
    frames out, because these depend on each other, must leave out what is copied too:

    - cross-utterance: pairs within an utterance, Σ_u ‖A_u‖², become Σ_b w_b Σ_{u∈b} ‖A_u‖² + Σ_b (w_b² − w_b) ‖A_b‖²:
      two copies of a block hold copies of the same utterances, so no pair between them counts. Every sum by utterance
      changes alike, as if a block were an utterance that is paired with its own copies (w_b² − w_b) times; so does
      Σ n_u². Each pair of blocks then counts w_b w_c times, each pair of utterances within a block w_b times.
    - debiased: a frame with itself, Σ a_s b_s (centred), becomes Σ_b w_b² Σ_{s∈b} a_s b_s.

    Without this, a bootstrap of layers that are unrelated would centre far above 0.

    Memory: the block moments once more.
    """

    def __init__(self, blocks: Sequence[Moments]) -> None:
        parts = aligned(blocks)
        self._like = parts[0]
        self._frames = [part.frames for part in parts]
        self._utterances = [part.utterances or 0 for part in parts]
        self._squares = [part.squares for part in parts]
        self._layers = {name: stack([part.layers[name] for part in parts]) for name in self._like.widths}
        self._pairs = {pair: stack([part.blocks[pair] for part in parts]) for pair in self._like.pairs}

    def moments(self, weights: Sequence[int]) -> Moments:
        """The moments of speech in which each block occurs so many times."""
        copies = [w * w - w for w in weights]
        frames = _dot(weights, self._frames)
        layers = {name: self._layer(name, weights, copies) for name in self._layers}
        pairs = {pair: self._pair(pair, weights, copies, layers, frames) for pair in self._pairs}
        return replace(
            self._like,
            frames=frames,
            utterances=_dot(weights, self._utterances),
            squares=_dot(weights, self._squares) + sum(c * n * n for c, n in zip(copies, self._frames, strict=True)),
            layers=layers,
            blocks=pairs,
            _cache={},
            _pair_cache={},
        )

    def _layer(self, name: str, weights: Sequence[int], copies: Sequence[int]) -> LayerBlock:
        stacked = self._layers[name]
        s, c = stacked.total, self._tensor(copies)
        layer = _weigh(stacked, self._tensor(weights))
        weighted, between = layer.by_utterance()
        return replace(
            layer,
            weighted=weighted + (c * self._tensor(self._frames)) @ s,
            between=between + c @ (s * s).sum(1),
        )

    def _pair(
        self,
        pair: Pair,
        weights: Sequence[int],
        copies: Sequence[int],
        layers: dict[str, LayerBlock],
        frames: int,
    ) -> PairBlock:
        stacked, c = self._pairs[pair], self._tensor(copies)
        s, t = (self._layers[name].total for name in pair)
        A, n = stacked.cross, self._tensor(self._frames)
        block = _weigh(stacked, self._tensor(weights))
        # The copies' own Σ a_s b_s, centred as the whole will be.
        cross, norms, norm_y, norm_x = (
            torch.tensordot(c, v, 1) for v in (A, stacked.norms, stacked.norm_y, stacked.norm_x)
        )
        copied = PairBlock(cross, norms, norm_y, norm_x, None, None, None, None)
        X, Y = (_weigh(self._layers[name], c) for name in pair)
        means = [layers[name].total / frames for name in pair]
        diagonal = copied.moved(means[0], means[1], X, Y, _dot(copies, self._frames), 0).norms
        return replace(
            block,
            norms=block.norms + diagonal,
            spread=None
            if block.spread is None
            else block.spread + torch.tensordot(c * n, A, 1) + (s * c[:, None]).T @ t,
            cross_t=_kept(block.cross_t) + torch.einsum("b,bpq,bq->p", c, A, t),
            cross_s=_kept(block.cross_s) + torch.einsum("b,bpq,bp->q", c, A, s),
            within=_kept(block.within) + c @ (A * A).sum((1, 2)),
        )

    def _tensor(self, values: Sequence[int]) -> torch.Tensor:
        device = next(iter(self._like.origins.values())).device
        return torch.tensor(values, dtype=torch.float64, device=device)


def _weigh(stacked: S, weights: torch.Tensor) -> S:
    """The weighted sum over parts."""
    return type(stacked)(*(None if v is None else torch.tensordot(weights, v, 1) for v in stacked.tensors().values()))


def _kept(value: torch.Tensor | None) -> torch.Tensor:
    assert value is not None  # block moments keep utterances apart
    return value


def _dot(weights: Sequence[int], values: Sequence[int]) -> int:
    return sum(w * v for w, v in zip(weights, values, strict=True))
