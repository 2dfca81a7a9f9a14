"""Which block each cluster of utterances belongs to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from otoscope.errors import MeasureError
from otoscope.measures.checks import Utterances, group_utterances

__all__ = ["BLOCKS", "Label", "Placed", "assign", "check_blocks", "place"]

BLOCKS = 20  # a t quantile of 19 degrees of freedom is within 7 % of the normal one; more blocks cost more

Label = int | str


def assign(frames: Mapping[Label, int], blocks: int = BLOCKS) -> dict[Label, int]:
    """Clusters to blocks of about equal numbers of frames: the largest first, each to the lightest block so far.

    Use it ahead of a pass that several processes share, with the speakers' durations from the manifest: all of them
    then put a speaker into the same block.

    Arguments:
        frames: the number of frames of each cluster (or any other measure of size).
        blocks: how many blocks there are.

    Returns:
        Each cluster's block, counted from 0. The same clusters in the same order give the same blocks.

    >>> assign({"anna": 900, "bert": 500, "carl": 450, "dora": 100}, blocks=3)
    {'anna': 0, 'bert': 1, 'carl': 2, 'dora': 2}
    """
    check_blocks(blocks)
    load, chosen = [0] * blocks, dict[Label, int]()
    for label in sorted(frames, key=lambda c: -frames[c]):
        chosen[label] = load.index(min(load))
        load[chosen[label]] += frames[label]
    return {label: chosen[label] for label in frames}


def check_blocks(blocks: int) -> None:
    """Refuse a number of blocks that no interval can come from."""
    if blocks < 3:
        raise MeasureError(f"blocks is {blocks}; an interval takes at least 3, and {BLOCKS} are usual")


@dataclass(frozen=True, slots=True)
class Placed:
    """Where each utterance of whole layers goes.

    `order` brings each utterance's frames together (`None`: they are already), `lengths` are in frames, `names` the
    utterances' clusters, `blocks` the clusters' blocks.
    """

    order: npt.NDArray[np.intp] | None
    lengths: list[int]
    names: list[Label]
    blocks: dict[Label, int]


def place(utterances: Utterances, clusters: Utterances | None, frames: int, blocks: int) -> Placed:
    """Utterances to blocks, by cluster; each utterance is a cluster where none are given."""
    order, lengths = group_utterances(utterances, frames)
    names: list[Label] = list(range(len(lengths)))
    if clusters is not None:
        names = _labels(clusters, lengths, order, frames)
    sizes = dict.fromkeys(names, 0)
    for name, length in zip(names, lengths, strict=True):
        sizes[name] += length
    return Placed(order, lengths, names, assign(sizes, blocks))


def _labels(
    clusters: Utterances, utterances: Sequence[int], order: npt.NDArray[np.intp] | None, frames: int
) -> list[Label]:
    """Each utterance's cluster, from a label for each utterance or for each frame."""
    given: Any = clusters.detach().cpu().numpy() if isinstance(clusters, torch.Tensor) else np.asarray(clusters)
    if given.ndim != 1 or given.dtype.kind not in "iuUS":
        raise MeasureError(
            f"clusters has shape {given.shape} and dtype {given.dtype}; expected one axis of whole numbers or strings, "
            "such as each utterance's speaker"
        )
    if len(given) == len(utterances) != frames:
        return list(given.tolist())
    if len(given) != frames:
        raise MeasureError(
            f"clusters has {len(given)} labels for {len(utterances)} utterances of {frames} frames; give one for "
            "each utterance or one for each frame"
        )
    grouped = given if order is None else given[order]
    starts = np.cumsum([0, *utterances])
    found = [np.unique(grouped[a:b]) for a, b in pairwise(starts.tolist())]
    torn = next((u for u, labels in enumerate(found) if len(labels) > 1), None)
    if torn is not None:
        raise MeasureError(
            f"utterance {torn} has frames of {len(found[torn])} clusters ({', '.join(map(str, found[torn][:3]))}); "
            "a cluster is made of whole utterances"
        )
    return [labels[0].item() for labels in found]
