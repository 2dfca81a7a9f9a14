"""Block moments that grow in place, for a pass over speech."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch

from otoscope.errors import MeasureError
from otoscope.measures.accumulator import Accumulator
from otoscope.measures.checks import Array, check_lengths, check_values, check_views
from otoscope.measures.coordinates import Coordinates
from otoscope.measures.inference.block_moments import BlockMoments
from otoscope.measures.inference.grouping import BLOCKS, Label, check_blocks
from otoscope.measures.moments import Pair

__all__ = ["BlockAccumulator"]

WORTHWHILE = 512  # frames of a block that are summed at once, rather than held until more come


class BlockAccumulator:
    """Block moments that grow in place: `Accumulator`, once for each block.

    A cluster seen for the first time goes to the block with the fewest frames so far, unless `assignment` says
    which: with it, processes that see different utterances of one speaker agree.

    Arguments:
        widths: units by layer name.
        pairs: as for `Moments.zero`.
        blocks: how many blocks.
        assignment: the block of each cluster, from `assign`; a cluster that is not in it goes to the lightest block.

    >>> import torch
    >>> total = BlockAccumulator({"encoder.0": 4}, blocks=3)
    >>> for seed in range(4):
    ...     x = torch.randn(50, 4, generator=torch.Generator().manual_seed(seed))
    ...     total.update({"encoder.0": x}, [20, 30], ["anna", f"speaker {seed}"])
    >>> kept = total.take()
    >>> kept.sizes, kept.clusters["anna"]
    ((80, 60, 60), 0)
    """

    def __init__(
        self,
        widths: Mapping[str, int],
        *,
        pairs: Sequence[Pair] | None = None,
        blocks: int = BLOCKS,
        assignment: Mapping[Label, int] | None = None,
        mergeable: bool = True,
    ) -> None:
        check_blocks(blocks)
        bad = {name: b for name, b in (assignment or {}).items() if not 0 <= b < blocks}
        if bad:
            name, block = next(iter(bad.items()))
            raise MeasureError(
                f"the assignment puts cluster {name!r} into block {block} of {blocks} (counted from 0); make it with "
                "the same number of blocks"
            )
        self._widths, self._pairs, self._mergeable = dict(widths), pairs, mergeable
        self._blocks = [Accumulator(widths, pairs=pairs, mergeable=mergeable) for _ in range(blocks)]
        self._load = [0] * blocks
        self._clusters = dict[Label, int]()
        self._assignment = dict(assignment or {})

    @classmethod
    def of(cls, moments: BlockMoments) -> BlockAccumulator:
        """An accumulator that starts from these block moments, which stay as they are."""
        first = moments.blocks[0]
        made = cls(
            first.widths,
            pairs=first.pairs,
            blocks=len(moments.blocks),
            assignment=moments.clusters,
            mergeable=first.mergeable,
        )
        made._blocks = [Accumulator.of(block) for block in moments.blocks]
        made._load = [block.frames for block in moments.blocks]
        made._clusters = dict(moments.clusters)
        return made

    def update(
        self, views: Mapping[str, Array], lengths: Sequence[int], clusters: Sequence[Label] | None = None
    ) -> None:
        """Add whole utterances. Nothing is added where it raises.

        Arguments:
            views: every layer's frames × units, utterance after utterance, without padding.
            lengths: the utterances' lengths in frames.
            clusters: each utterance's cluster, such as its speaker; an utterance is its own where not given.
        """
        counts = check_lengths(lengths, check_views(views, self._widths))
        check_values(views)
        if clusters is not None and len(clusters) != len(counts):
            raise MeasureError(
                f"clusters has {len(clusters)} labels for {len(counts)} utterances of {sum(counts)} frames; give one "
                "for each utterance or one for each frame"
            )
        if not any(self._load):
            # All blocks count from one origin, along the same axes, so that their sums need no moving.
            at = Coordinates.of(views, self._pairs)
            self._blocks = [
                Accumulator(self._widths, pairs=self._pairs, mergeable=self._mergeable, coordinates=at)
                for _ in self._blocks
            ]
        chosen = np.array([self._block_of(n, None if clusters is None else clusters[u]) for u, n in enumerate(counts)])
        for block in np.unique(chosen).tolist():
            held = chosen == block
            part = {name: _rows(x, held, counts) for name, x in views.items()}
            lengths = [n for n, here in zip(counts, held.tolist(), strict=True) if here]
            self._blocks[block].update(part, lengths)
            if sum(lengths) >= WORTHWHILE:
                self._blocks[block].settle()

    def take(self) -> BlockMoments:
        """What was added, without a copy: the accumulator gives its sums away and starts from nothing."""
        taken = BlockMoments(tuple(block.take() for block in self._blocks), self._clusters)
        self._load, self._clusters = [0] * len(self._blocks), {}
        return taken

    def _block_of(self, frames: int, label: Label | None) -> int:
        block = self._load.index(min(self._load))
        if label is not None:
            block = self._clusters.setdefault(label, self._assignment.get(label, block))
        self._load[block] += frames
        return block


def _rows(x: Array, held: np.typing.NDArray[np.bool_], counts: Sequence[int]) -> Array:
    """The frames of the utterances held; a view where they follow each other."""
    runs = [slice(start, stop) for start, stop in _runs(held, counts)]
    if len(runs) == 1:
        return x[runs[0]]
    if isinstance(x, torch.Tensor):
        return torch.cat([x[run] for run in runs])
    return np.concatenate([x[run] for run in runs])


def _runs(held: np.typing.NDArray[np.bool_], counts: Sequence[int]) -> Iterator[tuple[int, int]]:
    """(start, stop) of each run of frames whose utterances are held."""
    ends = np.cumsum(counts)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], held, [False]]).astype(np.int8)))
    for first, last in edges.reshape(-1, 2).tolist():
        yield int(ends[first] - counts[first]), int(ends[last - 1])
