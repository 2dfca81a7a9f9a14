"""Frames to sums: one chunk of whole utterances, every layer and every pair.

A chunk is long enough for products near the processor's peak rate. In float32 each layer is first turned to the
principal axes of the first chunk: products of nearly uncorrelated coordinates keep float32's relative accuracy in each
direction, however little variance it has. A chunk that varies much along axes along which the speech before it did not
is summed in float64. Sums over chunks are float64.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from otoscope.float32 import fast_float32
from otoscope.measures.blocks import LayerBlock, Pair, PairBlock

__all__ = ["TILE", "Chunk", "add_chunk", "add_squares"]

TILE = 384  # frames on a side of a Gram tile: L tiles of this size stay in a processor's cache
SHORT = 1 << 16  # float32 sums run over at most this many terms; above, float64
MEMORY_BOUND = 8  # passing once over p × q numbers costs about as much as this many multiply-adds for each
MOST = 100  # times the mean square so far along an axis: above, float32 would lose the directions that it mixes
NOTHING = 1e-12  # of the largest mean square: what lies below is rounding


@dataclass(frozen=True, slots=True)
class Chunk:
    """Whole utterances, utterance after utterance, by layer.

    `frames` (n × units, float32 or float64) are counted from each layer's origin and multiplied by its power of two
    `sizes`, which keeps fourth powers within float32; they are used up. `axes` (p × p) turns a layer before its
    products with others are summed, where it is not `None`. `lengths` are the utterances' frames, `None` where they are
    not kept apart; `noise` is (ε of the numbers as they came, ε of the arithmetic behind them) by layer; `before` is
    the number of frames that were summed already.
    """

    frames: dict[str, Tensor]
    origins: Mapping[str, Tensor]
    sizes: Mapping[str, float]
    axes: Mapping[str, Tensor | None]
    noise: Mapping[str, tuple[float, float]]
    lengths: Sequence[int] | None
    before: int

    @property
    def utterances(self) -> tuple[Tensor, Tensor]:
        """The utterances' lengths and each frame's utterance; one utterance where they are not kept apart."""
        first = next(iter(self.frames.values()))
        counts = torch.tensor(self.lengths or [len(first)], device=first.device)
        return counts, torch.repeat_interleave(counts)


def add_chunk(chunk: Chunk, layers: Mapping[str, LayerBlock], blocks: Mapping[Pair, PairBlock]) -> bool:
    """Add the chunk's sums to the layers' and the pairs', in place. Returns whether the axes suit it."""
    with fast_float32():
        squares = {name: _squares(x) for name, x in chunk.frames.items()}
        suits = _turn(chunk, blocks)
        norms, along, sums = _layer_sums(chunk, layers)
        _add_noise(chunk, layers, squares, sums)
        if blocks:
            within = _within(chunk, list(blocks)) if chunk.lengths is not None else None
            _add_vectors(chunk, blocks, norms, along, within)
            _add_products(chunk, blocks, sums)
    return suits


def _turn(chunk: Chunk, blocks: Mapping[Pair, PairBlock]) -> bool:
    """Turn the frames to the layers' axes, in float64 where these were made for other frames: then it is false."""
    unlike: list[str] = []
    for name, axes in chunk.axes.items():
        if axes is None:
            continue
        z = chunk.frames[name] @ axes
        if z.dtype == torch.float32 and chunk.before and _is_unlike(z, chunk, name, blocks):
            unlike.append(name)
        else:
            chunk.frames[name].copy_(z)  # in place: no second copy of all layers
    if unlike:
        for name, x in chunk.frames.items():
            axes = chunk.axes[name]
            chunk.frames[name] = x.double() @ axes.double() if name in unlike and axes is not None else x.double()
    return not unlike


def _is_unlike(z: Tensor, chunk: Chunk, name: str, blocks: Mapping[Pair, PairBlock]) -> bool:
    """Whether the frames vary much along an axis along which those before did not."""
    if (name, name) not in blocks:
        return False
    usual = blocks[name, name].cross.diagonal() * (chunk.sizes[name] ** 2 / chunk.before)
    return bool((_squares(z) / len(z) > MOST * (usual + NOTHING * usual.max())).any())


def _squares(x: Tensor) -> Tensor:
    """Σ x² of each column."""
    return (x * x).sum(0).double()


def _layer_sums(
    chunk: Chunk, layers: Mapping[str, LayerBlock]
) -> tuple[dict[str, Tensor], dict[str, Tensor], dict[str, Tensor]]:
    """‖x_s‖², x_s · s_u and s_u, of all layers along their axes; adds what each layer keeps for itself.

    All sums are of the turned frames: what the turn rounds then cancels where sums are taken off each other, and the
    mean of a direction of little variance is as exact as its variance.
    """
    counts, utterance = chunk.utterances
    norms: dict[str, Tensor] = {}
    along: dict[str, Tensor] = {}
    sums: dict[str, Tensor] = {}
    for name, z in chunk.frames.items():
        scale, keeps = chunk.sizes[name], layers[name]
        norms[name] = torch.linalg.vector_norm(z, dim=1).double().square()
        s = torch.stack([part.sum(0) for part in torch.split(z, counts.tolist())])
        along[name] = (z * s[utterance]).sum(1).double()
        sums[name] = s = s.double()
        keeps.total.add_(s.sum(0), alpha=1 / scale)
        keeps.energy.add_(norms[name].sum(), alpha=1 / scale**2)
        if keeps.weighted is not None and keeps.between is not None:
            keeps.weighted.add_(counts.double() @ s, alpha=1 / scale)
            keeps.between.add_(s.square().sum(), alpha=1 / scale**2)
    return norms, along, sums


def _add_noise(
    chunk: Chunk, layers: Mapping[str, LayerBlock], squares: Mapping[str, Tensor], sums: Mapping[str, Tensor]
) -> None:
    """What the numbers as they came cannot resolve, and what the arithmetic behind them cannot."""
    for name, (storage, arithmetic) in chunk.noise.items():
        n, origin, axes, scale = len(chunk.frames[name]), chunk.origins[name], chunk.axes[name], chunk.sizes[name]
        total = sums[name].sum(0) if axes is None else axes.double() @ sums[name].sum(0)
        came = squares[name] / scale**2 + 2 * origin * total / scale + n * origin**2  # Σ x², with the offset
        layers[name].storage.add_(came, alpha=storage**2)
        layers[name].resolution.add_(n * arithmetic**2)


def _add_vectors(
    chunk: Chunk,
    blocks: Mapping[Pair, PairBlock],
    norms: Mapping[str, Tensor],
    along: Mapping[str, Tensor],
    within: Tensor | None,
) -> None:
    """What a pair keeps beside its matrices: every layer's products with all norms at once."""
    column = {name: i for i, name in enumerate(chunk.frames)}
    N = torch.stack(list(norms.values()), 1)
    S = torch.stack(list(along.values()), 1)
    of_norms = N.T @ N
    by_norm = {name: (z.T @ N.to(z)).double() for name, z in chunk.frames.items()}
    by_along = {name: (z.T @ S.to(z)).double() for name, z in chunk.frames.items()} if within is not None else {}
    for (x, y), block in blocks.items():
        a, b, i, j = 1 / chunk.sizes[x], 1 / chunk.sizes[y], column[x], column[y]
        block.norms.add_(of_norms[i, j], alpha=(a * b) ** 2)
        block.norm_y.add_(by_norm[y][:, i], alpha=a * a * b)
        block.norm_x.add_(by_norm[x][:, j], alpha=a * b * b)
        if within is None:
            continue
        assert block.within is not None
        assert block.cross_t is not None
        assert block.cross_s is not None
        block.within.add_(within[i, j], alpha=(a * b) ** 2)
        block.cross_t.add_(by_along[x][:, j], alpha=a * b * b)
        block.cross_s.add_(by_along[y][:, i], alpha=a * a * b)


def _add_products(chunk: Chunk, blocks: Mapping[Pair, PairBlock], sums: Mapping[str, Tensor]) -> None:
    counts, utterance = chunk.utterances
    equal = chunk.lengths is not None and len(set(chunk.lengths)) == 1
    weighted = dict[str, Tensor]()  # the last layer's frames times their utterances' lengths
    for (x, y), block in blocks.items():
        X, Y, scale = chunk.frames[x], chunk.frames[y], 1 / (chunk.sizes[x] * chunk.sizes[y])
        product = X.T @ Y
        block.cross.add_(product, alpha=scale)
        if block.spread is None:
            continue
        if equal:
            product *= int(counts[0])
        else:
            if x not in weighted:
                weighted = {x: X * counts[utterance, None].to(X)}
            torch.mm(weighted[x].T, Y, out=product)
        block.spread.add_(product, alpha=scale).addmm_(sums[x].T, sums[y], alpha=scale)


def _within(chunk: Chunk, pairs: Sequence[Pair]) -> Tensor:
    """Σ_u ‖A_u‖² for layers × layers, from Gram matrices (shared by a layer's pairs) or from each A_u."""
    layers = list(chunk.frames.values())
    total = torch.zeros(len(layers), len(layers), dtype=torch.float64, device=layers[0].device)
    index = {name: i for i, name in enumerate(chunk.frames)}
    assert chunk.lengths is not None
    for rows, lengths in _gatherings(chunk.lengths):
        if len(lengths) > 1 or _gram_is_cheaper(rows.stop - rows.start, chunk, pairs):
            _add_gram_products([x[rows] for x in layers], lengths, total)
        else:
            for x, y in pairs:
                A = chunk.frames[x][rows].T @ chunk.frames[y][rows]
                total[index[x], index[y]] += torch.linalg.vector_norm(A, dtype=torch.float64).square()
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
    width = {name: x.shape[1] for name, x in chunk.frames.items()}
    gram = length**2 * (sum(width.values()) + len(width) ** 2) / 2
    return bool(gram <= (length + MEMORY_BOUND) * sum(width[x] * width[y] for x, y in pairs))


def _add_gram_products(layers: Sequence[Tensor], lengths: Sequence[int], total: Tensor) -> None:
    """Add ⟨X_u X_uᵀ, Y_u Y_uᵀ⟩, by tiles of the upper triangle."""
    n, like = len(layers[0]), layers[0]
    K = torch.empty(len(layers) * TILE * min(n, TILE), dtype=like.dtype, device=like.device)
    for r in range(0, n, TILE):
        rows = slice(r, min(r + TILE, n))
        for c in range(r, n, TILE):
            columns = slice(c, min(c + TILE, n))
            shape = (len(layers), rows.stop - r, columns.stop - c)
            tiles = K[: shape[0] * shape[1] * shape[2]].view(shape)
            for tile, x in zip(tiles, layers, strict=True):
                torch.mm(x[rows], x[columns].T, out=tile)
            if len(lengths) > 1:
                utterance = torch.repeat_interleave(torch.tensor(lengths, device=like.device))
                tiles *= utterance[:, None] == utterance[None, :]
            add_squares(tiles, total, 1 if r == c else 2)


def add_squares(tiles: Tensor, total: Tensor, times: int) -> None:
    """Add the inner products of the layers' tiles (layers × frames × frames) so many times."""
    flat = tiles.view(len(tiles), -1)
    for start in range(0, flat.shape[1], SHORT):
        part = flat[:, start : start + SHORT]
        total.add_((part @ part.T).to(total.device), alpha=times)
