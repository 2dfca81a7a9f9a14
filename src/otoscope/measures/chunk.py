"""Frames to sums: one chunk of whole utterances, every layer and every pair.

The layers lie side by side in one matrix, so that a layer's products with all its partners are one wide product. In
float32 each layer is first turned to the principal axes of the first chunk: products of nearly uncorrelated
coordinates keep float32's relative accuracy in each direction, however little variance it has. Sums over chunks are
float64.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from otoscope.measures.blocks import LayerBlock, Pair, PairBlock
from otoscope.measures.matmul import fast_float32

__all__ = ["Chunk", "add_chunk"]

TILE = 384  # frames on a side of a Gram tile: L tiles of this size stay in a processor's cache
SHORT = 1 << 16  # float32 sums run over at most this many terms; above, float64
MEMORY_BOUND = 8  # passing once over p × q numbers costs about as much as this many multiply-adds for each


@dataclass(frozen=True, slots=True)
class Chunk:
    """Whole utterances, utterance after utterance, of all layers side by side.

    `frames` (n × Σ units, float32 or float64) is counted from each layer's origin and multiplied by its power of two
    `sizes`, which keeps fourth powers within float32; it is used up. `axes` (p × p) turns a layer before its products
    with others are summed, where it is not `None`. `lengths` are the utterances' frames, `None` where they are not kept
    apart; `noise` is (ε of the numbers as they came, ε of the arithmetic behind them) by layer.
    """

    frames: Tensor
    spans: Mapping[str, slice]
    origins: Mapping[str, Tensor]
    sizes: Mapping[str, float]
    axes: Mapping[str, Tensor | None]
    noise: Mapping[str, tuple[float, float]]
    lengths: Sequence[int] | None


def add_chunk(chunk: Chunk, layers: Mapping[str, LayerBlock], blocks: Mapping[Pair, PairBlock]) -> None:
    """Add the chunk's sums to the layers' and the pairs', in place."""
    with fast_float32():
        within = _within(chunk, list(blocks)) if chunk.lengths is not None and blocks else None
        norms, along, sums = _layer_sums(chunk, layers)
        if not blocks:
            return
        _turn(chunk)
        _add_vectors(chunk, blocks, norms, along, within)
        for run in _runs(chunk, list(blocks)):
            _add_products(chunk, run, blocks, sums)


def _layer_sums(
    chunk: Chunk, layers: Mapping[str, LayerBlock]
) -> tuple[dict[str, Tensor], dict[str, Tensor], dict[str, Tensor]]:
    """‖x_s‖², x_s · s_u and s_u, of all layers; adds what each layer keeps for itself."""
    X = chunk.frames
    n, (counts, utterance) = len(X), _utterances(chunk)
    norms: dict[str, Tensor] = {}
    along: dict[str, Tensor] = {}
    sums: dict[str, Tensor] = {}
    for name, span in chunk.spans.items():
        x, scale, axes = X[:, span], chunk.sizes[name], chunk.axes[name]
        norms[name] = torch.linalg.vector_norm(x, dim=1).double().square()
        s = torch.stack([part.sum(0) for part in torch.split(x, counts.tolist())])
        along[name] = (x * s[utterance]).sum(1).double()
        squares = (x * x).sum(0).double() / scale**2
        total = s.double().sum(0) / scale
        origin, (storage, arithmetic) = chunk.origins[name], chunk.noise[name]
        came = squares + 2 * origin * total + n * origin**2  # Σ x², with the offset
        turned = s.double() if axes is None else (s @ axes).double()
        sums[name] = turned
        keeps = layers[name]
        keeps.total.add_(turned.sum(0), alpha=1 / scale)
        keeps.energy.add_(norms[name].sum(), alpha=1 / scale**2)
        keeps.storage.add_(came, alpha=storage**2)
        keeps.resolution.add_(n * arithmetic**2)
        if keeps.weighted is not None and keeps.between is not None:
            keeps.weighted.add_(counts.double() @ turned, alpha=1 / scale)
            keeps.between.add_(s.double().square().sum(), alpha=1 / scale**2)
    return norms, along, sums


def _utterances(chunk: Chunk) -> tuple[Tensor, Tensor]:
    """The utterances' lengths and each frame's utterance; one utterance where they are not kept apart."""
    counts = torch.tensor(chunk.lengths or [len(chunk.frames)], device=chunk.frames.device)
    return counts, torch.repeat_interleave(counts)


def _turn(chunk: Chunk) -> None:
    for name, span in chunk.spans.items():
        axes = chunk.axes[name]
        if axes is not None:
            chunk.frames[:, span] = chunk.frames[:, span] @ axes


def _add_vectors(
    chunk: Chunk,
    blocks: Mapping[Pair, PairBlock],
    norms: Mapping[str, Tensor],
    along: Mapping[str, Tensor],
    within: Tensor | None,
) -> None:
    """What a pair keeps beside its matrices: every layer's products with all norms at once."""
    Z, names = chunk.frames, list(chunk.spans)
    column = {name: i for i, name in enumerate(names)}
    N = torch.stack([norms[name] for name in names], 1)
    by_norm, of_norms = (Z.T @ N.to(Z.dtype)).double(), N.T @ N
    along_all = torch.stack([along[name] for name in names], 1).to(Z.dtype)
    by_along = (Z.T @ along_all).double() if within is not None else None
    for (x, y), block in blocks.items():
        a, b, i, j = 1 / chunk.sizes[x], 1 / chunk.sizes[y], column[x], column[y]
        block.norms.add_(of_norms[i, j], alpha=(a * b) ** 2)
        block.norm_y.add_(by_norm[chunk.spans[y], i], alpha=a * a * b)
        block.norm_x.add_(by_norm[chunk.spans[x], j], alpha=a * b * b)
        if within is None or by_along is None:
            continue
        assert block.within is not None
        assert block.cross_t is not None
        assert block.cross_s is not None
        block.within.add_(within[i, j], alpha=(a * b) ** 2)
        block.cross_t.add_(by_along[chunk.spans[x], j], alpha=a * b * b)
        block.cross_s.add_(by_along[chunk.spans[y], i], alpha=a * a * b)


@dataclass(frozen=True, slots=True)
class _Run:
    """A layer and its partners that lie next to each other: one product."""

    name: str
    partners: list[str]
    columns: slice


def _runs(chunk: Chunk, pairs: Sequence[Pair]) -> Iterator[_Run]:
    partners: dict[str, list[str]] = {}
    for x, y in pairs:
        partners.setdefault(x, []).append(y)
    for name, others in partners.items():
        others.sort(key=lambda y: chunk.spans[y].start)
        start = 0
        for i, y in enumerate(others):
            last = i + 1 == len(others) or chunk.spans[others[i + 1]].start != chunk.spans[y].stop
            if last:
                near = others[start : i + 1]
                yield _Run(name, near, slice(chunk.spans[near[0]].start, chunk.spans[y].stop))
                start = i + 1


def _add_products(chunk: Chunk, run: _Run, blocks: Mapping[Pair, PairBlock], sums: Mapping[str, Tensor]) -> None:
    x, y = chunk.frames[:, chunk.spans[run.name]], chunk.frames[:, run.columns]
    product = x.T @ y
    _scatter(chunk, run, product, [blocks[run.name, other].cross for other in run.partners])
    spreads = [blocks[run.name, other].spread for other in run.partners]
    if chunk.lengths is None or spreads[0] is None:
        return
    if len(set(chunk.lengths)) == 1:
        product *= chunk.lengths[0]
    else:
        counts, utterance = _utterances(chunk)
        torch.mm((x * counts[utterance, None].to(x.dtype)).T, y, out=product)
    _scatter(chunk, run, product, [spread for spread in spreads if spread is not None])
    for other, spread in zip(run.partners, spreads, strict=True):
        if spread is not None:
            spread.addmm_(sums[run.name].T, sums[other], alpha=1 / (chunk.sizes[run.name] * chunk.sizes[other]))


def _scatter(chunk: Chunk, run: _Run, product: Tensor, totals: Sequence[Tensor]) -> None:
    for other, total in zip(run.partners, totals, strict=True):
        span = chunk.spans[other]
        part = product[:, span.start - run.columns.start : span.stop - run.columns.start]
        total.add_(part, alpha=1 / (chunk.sizes[run.name] * chunk.sizes[other]))


def _within(chunk: Chunk, pairs: Sequence[Pair]) -> Tensor:
    """Σ_u ‖A_u‖² for layers × layers, from Gram matrices (shared by a layer's pairs) or from each A_u."""
    spans = list(chunk.spans.values())
    total = torch.zeros(len(spans), len(spans), dtype=torch.float64, device=chunk.frames.device)
    index = {name: i for i, name in enumerate(chunk.spans)}
    assert chunk.lengths is not None
    for rows, lengths in _gatherings(chunk.lengths):
        longest = rows.stop - rows.start
        if len(lengths) > 1 or _gram_is_cheaper(longest, chunk, pairs):
            _add_gram_products(chunk.frames[rows], spans, lengths, total)
        else:
            for run in _runs(chunk, pairs):
                A = chunk.frames[rows, chunk.spans[run.name]].T @ chunk.frames[rows, run.columns]
                for other in run.partners:
                    span = chunk.spans[other]
                    part = A[:, span.start - run.columns.start : span.stop - run.columns.start]
                    total[index[run.name], index[other]] += torch.linalg.vector_norm(part, dtype=torch.float64).square()
    return total


def _gatherings(lengths: Sequence[int]) -> Iterator[tuple[slice, list[int]]]:
    """Rows of a long utterance, or of several short ones that fit into one tile together."""
    start, held = 0, list[int]()
    for length in lengths:
        if held and sum(held) + length > TILE:
            yield slice(start, start + sum(held)), held
            start, held = start + sum(held), []
        held.append(length)
    yield slice(start, start + sum(held)), held


def _gram_is_cheaper(length: int, chunk: Chunk, pairs: Sequence[Pair]) -> bool:
    """Whether the length × length Grams cost less than the utterance's A_u and a pass over them."""
    width = {name: span.stop - span.start for name, span in chunk.spans.items()}
    gram = length**2 * (sum(width.values()) + len(width) ** 2) / 2
    return bool(gram <= (length + MEMORY_BOUND) * sum(width[x] * width[y] for x, y in pairs))


def _add_gram_products(X: Tensor, spans: Sequence[slice], lengths: Sequence[int], total: Tensor) -> None:
    """Add ⟨X_u X_uᵀ, Y_u Y_uᵀ⟩, by tiles of the upper triangle."""
    n = len(X)
    K = torch.empty(len(spans) * TILE * min(n, TILE), dtype=X.dtype, device=X.device)
    for r in range(0, n, TILE):
        rows = slice(r, min(r + TILE, n))
        for c in range(r, n, TILE):
            columns = slice(c, min(c + TILE, n))
            shape = (len(spans), rows.stop - r, columns.stop - c)
            tiles = K[: shape[0] * shape[1] * shape[2]].view(shape)
            for tile, span in zip(tiles, spans, strict=True):
                torch.mm(X[rows, span], X[columns, span].T, out=tile)
            if len(lengths) > 1:
                utterance = torch.repeat_interleave(torch.tensor(lengths, device=X.device))
                tiles *= utterance[:, None] == utterance[None, :]
            flat = tiles.view(len(spans), -1)
            for s in range(0, flat.shape[1], SHORT):
                part = flat[:, s : s + SHORT]
                total.add_(part @ part.T, alpha=1 if r == c else 2)
