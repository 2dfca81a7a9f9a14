"""Overlap of nearest neighbours."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, get_args

import torch

from otoscope.errors import MeasureError
from otoscope.measures.checks import Array, Utterances
from otoscope.measures.frame_pairs import centred, rank
from otoscope.measures.kernels import squared_distances
from otoscope.measures.registry import Measure, register
from otoscope.measures.result import Similarity
from otoscope.measures.samples import Samples, lengths_to_index

__all__ = ["MAX_FRAMES", "Metric", "compute", "mutual_knn"]

MAX_FRAMES = 5000
TILE_ENTRIES = 1 << 22  # distances held at a time, 32 MiB

Metric = Literal["euclidean", "cosine"]


def mutual_knn(
    x: Array,
    y: Array,
    *,
    k: int = 10,
    metric: Metric = "euclidean",
    utterances: Utterances | None = None,
    max_frames: int | None = MAX_FRAMES,
) -> Similarity:
    """Mutual k nearest neighbours: how many of a frame's nearest frames are the same in both layers.

    Formula: the mean over frames of |N_x(s) ∩ N_y(s)| / k, N(s) the k frames nearest to s, itself left out.

    Use it for local structure alone: which frames are alike, whatever the distances, scales and shapes further away.
    In speech a frame's neighbours in time are its neighbours in every layer, which says nothing about the layers, so
    with utterances neighbours are only sought in *other* utterances. It depends on k and on the number of frames:
    compare values of equal k and frames. Frames that are exactly equal (digital silence) tie, and their order decides.

    Arguments:
        x: frames × units, numpy or torch, any floating type.
        y: the same frames × its units.
        k: neighbours of each frame.
        metric: `"euclidean"`, or `"cosine"` of the centred frames, for which only their directions count.
        utterances: each frame's utterance index, or the list of lengths in frames.
        max_frames: where there are more frames, whole utterances spread evenly (single frames, where utterances are
            not given) are taken up to so many; `None` takes all.

    Returns:
        The similarity in [0, 1]; its `frames` and `utterances` are those that were taken. `null` is the exact value
        for neighbours drawn at random: k over the number of frames to choose from, averaged over frames.

    Raises:
        MeasureError: a layer is constant, not finite or not frames × units; fewer than k other frames (of other
            utterances) for some frame.

    Source: Huh et al. 2024 (with the cosine of uncentred frames, and without utterances).

    >>> import torch
    >>> g = torch.Generator().manual_seed(0)
    >>> x = torch.randn(500, 4, generator=g)
    >>> noise = torch.randn(500, 4, generator=g)
    >>> near, far = mutual_knn(x, x + 0.1 * noise), mutual_knn(x, noise)
    >>> round(near.value, 1), round(far.value, 2), round(far.null, 2)
    (0.8, 0.02, 0.02)
    """
    samples = Samples.of({"x": x, "y": y}, utterances=utterances)
    return compute(samples, "x", "y", k=k, metric=metric, max_frames=max_frames)


def compute(
    samples: Samples,
    x: str,
    y: str,
    *,
    k: int = 10,
    metric: Metric = "euclidean",
    max_frames: int | None = MAX_FRAMES,
) -> Similarity:
    """`mutual_knn` of two layers of the samples; arguments and errors as there. Neighbours are sought once a layer."""
    if metric not in get_args(Metric):
        raise MeasureError(f"no metric '{metric}'; there are {', '.join(get_args(Metric))}")
    for name in (x, y):
        samples.view(name)
    samples = samples if max_frames is None else samples.subset(max_frames)
    others = _others(samples)
    if k < 1 or int(others.min()) < k:
        raise MeasureError(
            f"mutual-knn with k={k} needs at least as many other frames{_of_other_utterances(samples)} for each frame, "
            f"got {int(others.min())}; give more speech or a smaller k of at least 1"
        )
    ranks = (rank(samples, x), rank(samples, y))
    near_x, near_y = (_neighbours(samples, name, k, metric) for name in (x, y))
    shared = 0
    for rows in _tiles(samples.frames, k * k):
        shared += int((near_x[rows, :, None] == near_y[rows, None, :]).sum())
    return Similarity(
        measure="mutual-knn",
        value=shared / (samples.frames * k),
        null=float((k / others.double()).mean()),
        frames=samples.frames,
        units=(samples.widths[x], samples.widths[y]),
        ranks=ranks,
        layers=(x, y),
        utterances=samples.utterances,
    )


def _others(samples: Samples) -> torch.Tensor:
    """How many frames each may have as neighbours."""
    if samples.lengths is None:
        return torch.full((samples.frames,), samples.frames - 1)
    return samples.frames - torch.tensor(samples.lengths)[lengths_to_index(samples.lengths)]


def _of_other_utterances(samples: Samples) -> str:
    return "" if samples.lengths is None else " of other utterances"


def _neighbours(samples: Samples, name: str, k: int, metric: Metric) -> torch.Tensor:
    """Frames × k: the frames nearest to each, in no order."""
    return samples.cached(("neighbours", name, k, metric), lambda: _search(samples, name, k, metric))


def _search(samples: Samples, name: str, k: int, metric: Metric) -> torch.Tensor:
    x = centred(samples, name)
    assert x is not None  # its rank was taken
    if metric == "cosine":
        length = torch.linalg.vector_norm(x, dim=1, keepdim=True)
        x = x / length.clamp_min(1e-12 * float(length.max()))
    squares = (x**2).sum(1)
    frames = torch.arange(len(x)) if samples.lengths is None else lengths_to_index(samples.lengths)
    index, found = frames.to(x.device), []
    for rows in _tiles(len(x), len(x)):
        distances = squared_distances(x[rows] @ x.T, squares[rows], squares)
        distances.masked_fill_(index[rows, None] == index, torch.inf)
        found.append(distances.topk(k, largest=False, sorted=False).indices)
    return torch.cat(found)


def _tiles(frames: int, entries: int) -> Iterator[slice]:
    """Runs of frames, with so many entries each, that fit into a tile."""
    step = max(1, TILE_ENTRIES // entries)
    for start in range(0, frames, step):
        yield slice(start, min(start + step, frames))


register(Measure("mutual-knn", compute, needs="more than 10 frames (of other utterances); costs n²", source="samples"))
