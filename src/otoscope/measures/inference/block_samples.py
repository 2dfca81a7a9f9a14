"""Frames kept apart by block of speech, for intervals of the measures that need samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from otoscope.measures.checks import Array, Utterances, check_views
from otoscope.measures.inference.grouping import BLOCKS, Label, place
from otoscope.measures.samples import Samples

__all__ = ["BlockSamples"]


@dataclass(frozen=True, slots=True, eq=False)
class BlockSamples:
    """The frames of blocks of speech, each made of whole clusters (utterances or speakers); immutable.

    Use it as `BlockMoments`, for measures whose source is samples (kernels, neighbours, distances). Each value on a
    part of the speech is worked out from its frames anew, so that an interval costs as much as thirty values.

    Attributes:
        total: all frames.
        block_of: each utterance's block.
        clusters: the block of each cluster that has a label.

    Memory: the activations once, and once more for the part that is measured.

    >>> import torch
    >>> x = torch.randn(600, 4, generator=torch.Generator().manual_seed(0))
    >>> kept = BlockSamples.of({"a": x, "b": x.tanh()}, utterances=[100, 150, 50, 300], blocks=3)
    >>> kept.sizes, kept.without(0).lengths
    ((300, 150, 150), (100, 150, 50))
    """

    total: Samples
    block_of: tuple[int, ...]
    clusters: Mapping[Label, int]

    @classmethod
    def of(
        cls,
        views: Mapping[str, Array],
        *,
        utterances: Utterances,
        clusters: Utterances | None = None,
        blocks: int = BLOCKS,
    ) -> BlockSamples:
        """The frames of whole layers in blocks of about equal numbers; arguments as for `BlockMoments.of`."""
        placed = place(utterances, clusters, check_views(views), blocks)
        total = Samples.of(views, utterances=utterances)
        chosen = tuple(placed.blocks[name] for name in placed.names)
        return cls(total, chosen, {} if clusters is None else placed.blocks)

    def clusters_in(self, part: int) -> list[Label]:
        """The labelled clusters in one block."""
        return [name for name, block in self.clusters.items() if block == part]

    @property
    def sizes(self) -> tuple[int, ...]:
        """The frames of each block."""
        lengths = self.total.lengths or ()
        return tuple(np.bincount(self.block_of, weights=lengths).astype(int).tolist())

    def without(self, part: int) -> Samples:
        """All frames but those of one block."""
        return self.only([b for b in range(max(self.block_of) + 1) if b != part])

    def weighted(self, weights: Sequence[int]) -> Samples:
        """The frames of some blocks: of those whose weight is 1, none occurs more often."""
        return self.only([b for b, w in enumerate(weights) if w])

    def only(self, chosen: Sequence[int]) -> Samples:
        """The frames of some blocks."""
        held = np.isin(self.block_of, chosen)
        lengths = np.array(self.total.lengths)
        rows = torch.from_numpy(np.flatnonzero(np.repeat(held, lengths)))
        views = {name: x[rows.to(x.device)] for name, x in self.total.views.items()}
        return Samples(views, tuple(lengths[held].tolist()))
