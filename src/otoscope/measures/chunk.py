"""Frames to sums: one chunk of whole utterances, every layer and every pair, in float64."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch

from otoscope.measures.blocks import LayerBlock, PairBlock
from otoscope.measures.checks import Array, float64, resolution

__all__ = ["Chunk", "read_chunk", "sum_pairs"]

GRAM_ENTRIES = 1 << 22  # of all layers together; bounds the memory of a long utterance's Gram matrices (32 MiB)
MEMORY_BOUND = 8  # passing once over p × q numbers costs about as much as this many multiply-adds for each
FLOAT32 = float(torch.finfo(torch.float32).eps)


@dataclass(frozen=True, slots=True)
class Chunk:
    """Whole utterances, shortest first, so that those of one length lie together; by layer name.

    `groups` holds (length, count) in frame order; without utterances it is one group of one utterance.
    """

    frames: dict[str, torch.Tensor]  # n × p, counted from the layer's origin
    sums: dict[str, torch.Tensor]  # utterances × p: s_u
    norms: dict[str, torch.Tensor]  # n: a_s
    along: dict[str, torch.Tensor]  # n: x_s · s_u
    layers: dict[str, LayerBlock]
    groups: Sequence[tuple[int, int]]
    utterances: bool


def read_chunk(
    views: Mapping[str, Array],
    lengths: Sequence[int] | None,
    origins: dict[str, torch.Tensor],
    device: torch.device,
) -> Chunk:
    """Cast, shift and sum each layer; a layer without an origin gets its mean here as one (put into `origins`)."""
    n = len(next(iter(views.values())))
    counts = sorted(lengths) if lengths is not None else [n]
    groups = [(length, counts.count(length)) for length in sorted(set(counts))]
    order = _by_length(lengths, device) if len(groups) > 1 and lengths is not None else None
    size = torch.tensor(counts, dtype=torch.float64, device=device)
    chunk = Chunk({}, {}, {}, {}, {}, groups, lengths is not None)
    for name, view in views.items():
        x, eps = float64(view, device), resolution(view)
        storage = (torch.linalg.vector_norm(x, dim=0) * eps) ** 2
        if name not in origins:
            origins[name] = x.mean(0)
        x -= origins[name]
        if order is not None:
            x = x[order]
        a = torch.linalg.vector_norm(x, dim=1) ** 2
        weighted = between = None
        if lengths is not None:
            s, along = _sum_utterances(x, groups)
            chunk.sums[name], chunk.along[name] = s, along
            weighted, between = size @ s, (s * s).sum()
        chunk.frames[name], chunk.norms[name] = x, a
        resolved = torch.tensor(n * min(eps, FLOAT32) ** 2, dtype=torch.float64, device=device)
        chunk.layers[name] = LayerBlock(x.sum(0), a.sum(), storage, resolved, weighted, between)
    return chunk


def sum_pairs(chunk: Chunk, pairs: Sequence[tuple[str, str]]) -> Iterator[tuple[tuple[str, str], PairBlock]]:
    """The sums of each pair over the chunk, one pair at a time so that only one block is held beside the total."""
    use_gram = [_gram_is_cheaper(length, chunk, pairs) for length, _ in chunk.groups]
    names = list(chunk.frames)
    inner = _gram_products(chunk, use_gram) if chunk.utterances else None
    for x, y in pairs:
        X, Y = chunk.frames[x], chunk.frames[y]
        spread = cross_t = cross_s = within = None
        if inner is None:
            cross = X.T @ Y
        else:
            cross = torch.zeros(X.shape[1], Y.shape[1], dtype=torch.float64, device=X.device)
            spread = chunk.sums[x].T @ chunk.sums[y]
            within = inner[names.index(x), names.index(y)].clone()
            for (length, _, span), gram in zip(_slices(chunk.groups), use_gram, strict=True):
                steps = [span] if gram else [slice(i, i + length) for i in range(span.start, span.stop, length)]
                for step in steps:
                    A = X[step].T @ Y[step]
                    cross += A
                    spread.add_(A, alpha=length)
                    if not gram:
                        within += torch.linalg.vector_norm(A) ** 2
            cross_t, cross_s = X.T @ chunk.along[y], Y.T @ chunk.along[x]
        norms = chunk.norms[x] @ chunk.norms[y]
        norm_y, norm_x = Y.T @ chunk.norms[x], X.T @ chunk.norms[y]
        yield (x, y), PairBlock(cross, norms, norm_y, norm_x, spread, cross_t, cross_s, within)


def _gram_products(chunk: Chunk, use_gram: Sequence[bool]) -> torch.Tensor:
    """Σ_u ⟨X_uX_uᵀ, Y_uY_uᵀ⟩ = Σ_u ‖A_u‖² for all layers at once: each layer's Gram is shared by its pairs."""
    layers = list(chunk.frames.values())
    total = torch.zeros(len(layers), len(layers), dtype=torch.float64, device=layers[0].device)
    for (length, count, span), gram in zip(_slices(chunk.groups), use_gram, strict=True):
        if not gram:
            continue
        X = [x[span].view(count, length, -1) for x in layers]
        rows = max(1, min(length, GRAM_ENTRIES // (length * len(layers))))
        batch = max(1, GRAM_ENTRIES // (rows * length * len(layers)))
        for u in range(0, count, batch):
            for r in range(0, length, rows):
                K = torch.stack([torch.bmm(x[u : u + batch, r : r + rows], x[u : u + batch].mT).flatten() for x in X])
                total += K @ K.T
    return total


def _gram_is_cheaper(length: int, chunk: Chunk, pairs: Sequence[tuple[str, str]]) -> bool:
    """Whether the length × length Grams cost less than a pass over each utterance's A_u."""
    width = {name: x.shape[1] for name, x in chunk.frames.items()}
    gram = length**2 * (sum(width.values()) + len(width) ** 2)
    return gram <= MEMORY_BOUND * sum(width[x] * width[y] for x, y in pairs)


def _slices(groups: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int, slice]]:
    """(length, count, frames) of each group."""
    start = 0
    for length, count in groups:
        yield length, count, slice(start, start + length * count)
        start += length * count


def _sum_utterances(x: torch.Tensor, groups: Sequence[tuple[int, int]]) -> tuple[torch.Tensor, torch.Tensor]:
    """s_u of each utterance, and x_s · s_u of each frame."""
    sums, along = [], []
    for length, count, span in _slices(groups):
        utterances = x[span].view(count, length, -1)
        s = utterances.sum(1)
        sums.append(s)
        along.append(torch.bmm(utterances, s[:, :, None]).flatten())
    return torch.cat(sums), torch.cat(along)


def _by_length(lengths: Sequence[int], device: torch.device) -> torch.Tensor:
    """The order of frames that puts shorter utterances first."""
    starts = torch.tensor([0, *lengths]).cumsum(0).tolist()
    by_length = sorted(range(len(lengths)), key=lambda u: lengths[u])
    return torch.cat([torch.arange(starts[u], starts[u + 1]) for u in by_length]).to(device)
