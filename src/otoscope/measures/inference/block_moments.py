"""Moments kept apart by block of speech, for intervals without another pass."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from otoscope.errors import MeasureError
from otoscope.measures.checks import Array, Utterances, check_views
from otoscope.measures.inference.combine import covariances_of, same_origin, sum_of
from otoscope.measures.inference.grouping import BLOCKS, Label, place
from otoscope.measures.inference.resample import Resampler
from otoscope.measures.moments import Moments, Pair

__all__ = ["BlockMoments"]


@dataclass(frozen=True, slots=True, eq=False)
class BlockMoments:
    """The moments of blocks of speech, each made of whole clusters (utterances or speakers); immutable.

    Formula: `total` is the sum of the blocks' moments, `without(b)` is `total` less block b, exactly.

    Use it wherever a value needs an interval: `jackknife` and `bootstrap` work from it, for every measure that
    follows from moments, without another pass over the speech. Frames of one cluster depend on each other and are
    never torn apart: give speakers as clusters where one speaker has several utterances.

    Attributes:
        blocks: one `Moments` for each block; a block that got no speech is empty.
        clusters: the block of each cluster that has a label; unlabelled utterances are clusters of their own.

    Memory: the moments (16 bytes × p × q for each pair) times the number of blocks, and as much again as two of them
    for the total and for what is left without a block; it does not grow with the amount of speech.

    >>> import torch
    >>> x = torch.randn(600, 4, generator=torch.Generator().manual_seed(0))
    >>> kept = BlockMoments.of({"a": x, "b": x.tanh()}, utterances=[100, 150, 50, 300], blocks=3)
    >>> kept.sizes
    (300, 150, 150)
    >>> kept.without(0).frames, kept.total.utterances
    (300, 4)
    """

    blocks: tuple[Moments, ...]
    clusters: Mapping[Label, int]
    _cache: dict[Hashable, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def of(
        cls,
        views: Mapping[str, Array],
        *,
        utterances: Utterances,
        clusters: Utterances | None = None,
        blocks: int = BLOCKS,
        pairs: Sequence[Pair] | None = None,
        mergeable: bool = True,
    ) -> BlockMoments:
        """The block moments of whole layers, in blocks of about equal numbers of frames.

        Arguments:
            views: layer name to frames × units, all with the same frames.
            utterances: each frame's utterance index, in any order, or the list of lengths in frames.
            clusters: what is independent of each other, such as speakers: one label for each utterance (in the order
                of the lengths, or of the sorted utterance indices) or for each frame. Utterances where not given.
            blocks: how many blocks; with fewer clusters some stay empty.
            pairs, mergeable: as for `Moments.zero`.

        Raises:
            MeasureError: as for `Moments.of`; clusters that do not fit the utterances.
        """
        from otoscope.measures.inference.block_accumulator import BlockAccumulator

        placed = place(utterances, clusters, check_views(views), blocks)
        if placed.order is not None:
            views = {name: x[placed.order] for name, x in views.items()}
        widths = {name: x.shape[1] for name, x in views.items()}
        total = BlockAccumulator(widths, pairs=pairs, blocks=blocks, assignment=placed.blocks, mergeable=mergeable)
        total.update(views, placed.lengths, placed.names)
        kept = total.take()
        return kept if clusters is not None else cls(kept.blocks, {})

    @classmethod
    def zero(
        cls, widths: Mapping[str, int], *, pairs: Sequence[Pair] | None = None, blocks: int = BLOCKS
    ) -> BlockMoments:
        """No speech yet; arguments as for `Moments.zero` and `of`."""
        from otoscope.measures.inference.block_accumulator import BlockAccumulator

        return BlockAccumulator(widths, pairs=pairs, blocks=blocks).take()

    def update(
        self, views: Mapping[str, Array], lengths: Sequence[int], clusters: Sequence[Label] | None = None
    ) -> BlockMoments:
        """These and whole utterances more; arguments as for `BlockAccumulator.update`, which copies nothing."""
        from otoscope.measures.inference.block_accumulator import BlockAccumulator

        total = BlockAccumulator.of(self)
        total.update(views, lengths, clusters)
        return total.take()

    def __add__(self, other: BlockMoments) -> BlockMoments:
        if not isinstance(other, BlockMoments):
            return NotImplemented
        if len(self.blocks) != len(other.blocks):
            raise MeasureError(
                f"block moments of {len(self.blocks)} and of {len(other.blocks)} blocks cannot be added; make both "
                "with the same number of blocks"
            )
        torn = [name for name, b in self.clusters.items() if other.clusters.get(name, b) != b]
        if torn:
            raise MeasureError(
                f"cluster {torn[0]!r} is in block {self.clusters[torn[0]]} here and in block "
                f"{other.clusters[torn[0]]} there ({len(torn)} such); give both the same `assignment`"
            )
        blocks = tuple(a + b for a, b in zip(self.blocks, other.blocks, strict=True))
        return BlockMoments(blocks, {**self.clusters, **other.clusters})

    @property
    def parts(self) -> tuple[Moments, ...]:
        """The blocks that hold speech."""
        return tuple(block for block in self.blocks if block.frames)

    @property
    def sizes(self) -> tuple[int, ...]:
        """The frames of each block that holds speech."""
        return tuple(block.frames for block in self.parts)

    def clusters_in(self, part: int) -> list[Label]:
        """The labelled clusters in one of `parts`."""
        used = [b for b, block in enumerate(self.blocks) if block.frames]
        return [name for name, block in self.clusters.items() if block == used[part]]

    @property
    def total(self) -> Moments:
        """The moments of all speech, summed once."""
        if "total" not in self._cache:
            self._cache["total"] = sum_of(self.parts or self.blocks[:1])
        total: Moments = self._cache["total"]
        return total

    def without(self, part: int) -> Moments:
        """The moments of all speech but one of `parts`."""
        return sum_of([self.total], [self.parts[part]])

    def only(self, chosen: Sequence[int]) -> Moments:
        """The moments of some of `parts`."""
        return self.weighted([int(b in chosen) for b in range(len(self.parts))])

    def weighted(self, weights: Sequence[int]) -> Moments:
        """The moments of speech in which each of `parts` occurs so many times."""
        parts = self.parts
        if any(w > 1 for w in weights):
            if "resampler" not in self._cache:
                self._cache["resampler"] = Resampler(parts)
            return self._cache["resampler"].moments(weights)  # type: ignore[no-any-return]
        held, left = self._apart(weights)
        if 2 * len(held) > len(parts) and "total" in self._cache:
            return sum_of([self.total], left)
        return sum_of(held or [self.blocks[0]])

    def covariances(self, weights: Sequence[int]) -> Moments:
        """`weighted`, with the covariances of each pair and nothing else, where that is quicker to have."""
        held, left = self._apart(weights)
        if not held or any(w > 1 for w in weights) or not all(same_origin(part, self.total) for part in held):
            return self.weighted(weights)
        if len(held) > len(left):
            return covariances_of([self.total], left, self.total)
        return covariances_of(held, [], self.total)

    def _apart(self, weights: Sequence[int]) -> tuple[list[Moments], list[Moments]]:
        """The parts that occur, and those that do not."""
        found = [
            [part for part, w in zip(self.parts, weights, strict=True) if bool(w) == held] for held in (True, False)
        ]
        return found[0], found[1]
