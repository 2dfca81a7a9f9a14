"""One pass over speech for every kind of measure: sums, the same by block, and the frames of some utterances."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from otoscope.capture.streaming import Batches, streamed
from otoscope.capture.tokens import TokenGrid
from otoscope.capture.types import Layer, Recogniser, Seconds
from otoscope.errors import CaptureError
from otoscope.measures import Accumulator, Moments, Samples
from otoscope.measures.inference import BlockAccumulator, BlockMoments, BlockSamples
from otoscope.measures.samples import lengths_to_index

__all__ = ["Clusters", "Gathered", "gather", "spread_evenly"]


@dataclass(frozen=True, slots=True)
class Clusters:
    """What is independent of each other: `of` maps utterances to clusters, `blocks` clusters to blocks.

    `kind` says in a word what the clusters are, such as "speakers".
    """

    of: Mapping[str, str]
    blocks: Mapping[int | str, int]
    kind: str


@dataclass(frozen=True, slots=True)
class Gathered:
    """What one pass kept: `moments` of all speech and `samples` of some of it, by block where clusters were given.

    `None` stands for what was not asked for. `frames` and `utterances` count all speech.
    """

    frames: int
    utterances: int
    moments: Moments | BlockMoments | None
    samples: Samples | BlockSamples | None


def gather(
    recognisers: Mapping[str, Recogniser],
    batches: Batches,
    utterances: Sequence[Sequence[str]],
    *,
    moments: bool = True,
    sampled: Collection[str] = (),
    clusters: Clusters | None = None,
    pairs: Sequence[tuple[str, str]] | None = None,
    layers: Mapping[str, Sequence[Layer]] | None = None,
    grid: Seconds | TokenGrid | None = None,
    inputs: bool = False,
    shuffled: bool = False,
    progress: Callable[[int], None] | None = None,
) -> Gathered:
    """As `reduce`, with frames kept beside the moments, and both by block where intervals are wanted.

    Arguments:
        recognisers: by name.
        batches: padded features and true lengths, as for `reduce`.
        utterances: the names of each batch's utterances.
        moments: whether to keep the moments of all speech.
        sampled: the utterances whose frames are kept.
        clusters: keeps blocks of these apart.
        pairs, layers, grid, inputs, shuffled, progress: as for `reduce`. `pairs` are those of the moments.

    Raises:
        CaptureError: no batches, or none of the utterances sampled is in them.
    """
    plain: Accumulator | None = None
    by_block: BlockAccumulator | None = None
    kept = _Frames(set(sampled))
    frames = done = 0
    views_by_batch = streamed(recognisers, batches, layers=layers, grid=grid, inputs=inputs, shuffled=shuffled)
    for names, (views, lengths) in zip(utterances, views_by_batch, strict=True):
        widths = {name: x.shape[1] for name, x in views.items()}
        if moments and clusters is None:
            plain = plain or Accumulator(widths, pairs=pairs)
            plain.update(views, lengths)
        elif moments and clusters is not None:
            by_block = by_block or BlockAccumulator(widths, pairs=pairs, assignment=clusters.blocks)
            by_block.update(views, lengths, [clusters.of[name] for name in names])
        kept.add(views, lengths, names)
        frames, done = frames + sum(lengths), done + len(lengths)
        if progress is not None:
            progress(done)
    if not done:
        raise CaptureError("there was no speech to look at: the batches are empty")
    sums = plain or by_block
    return Gathered(frames, done, sums.take() if sums is not None else None, kept.take(clusters) if sampled else None)


def spread_evenly(frames: Mapping[str, int], most: int) -> list[str]:
    """Whole utterances of at most so many frames together, as many as fit when spread evenly over all.

    >>> spread_evenly({"a": 40, "b": 50, "c": 60, "d": 30}, 100)
    ['b', 'd']
    >>> spread_evenly({"a": 40, "b": 50}, 100)
    ['a', 'b']
    """
    names, counts = list(frames), torch.tensor(list(frames.values()))
    for count in range(min(len(names), most // max(1, int(counts.min()))), 0, -1):
        chosen = ((torch.arange(count) + 0.5) * (len(names) / count)).long()
        if int(counts[chosen].sum()) <= most:
            return [names[i] for i in chosen.tolist()]
    return []


@dataclass(slots=True)
class _Frames:
    """The frames of chosen utterances, as they come."""

    wanted: set[str]
    parts: list[dict[str, Tensor]] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)
    names: list[str] = field(default_factory=list)

    def add(self, views: Mapping[str, Tensor], lengths: Sequence[int], names: Sequence[str]) -> None:
        here = torch.tensor([name in self.wanted for name in names])
        if not here.any():
            return
        rows = torch.repeat_interleave(here, torch.tensor(lengths))
        self.parts.append({view: x[rows] for view, x in views.items()})
        self.lengths += [n for n, name in zip(lengths, names, strict=True) if name in self.wanted]
        self.names += [name for name in names if name in self.wanted]

    def take(self, clusters: Clusters | None) -> Samples | BlockSamples:
        if not self.parts:
            raise CaptureError("none of the utterances to keep frames of is in the batches: check their names")
        views = {view: torch.cat([part[view] for part in self.parts]) for view in self.parts[0]}
        index = lengths_to_index(self.lengths)
        if clusters is None:
            return Samples.of(views, utterances=index)
        labels = [clusters.of[name] for name in self.names]
        return BlockSamples.of(views, utterances=index, clusters=labels)
