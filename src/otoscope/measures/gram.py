"""The sums that CKA needs of every pair of layers, from Gram matrices: where frames are few beside the units."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from otoscope.float32 import fast_float32
from otoscope.measures.accumulator import Accumulator
from otoscope.measures.blocks import Pair
from otoscope.measures.checks import Array, Utterances, as_tensor, by_utterance, check_views, resolution
from otoscope.measures.chunk import TILE, add_squares
from otoscope.measures.coordinates import FLOAT32, Coordinates, unit_size
from otoscope.measures.moments import InnerProducts, Moments

__all__ = ["BLOCK", "gram_moments"]

BLOCK = 4 * TILE  # frames that are centred at a time


def gram_moments(views: Mapping[str, Array], *, utterances: Utterances | None, pairs: Sequence[Pair]) -> Moments:
    """Moments of whole layers that hold what the three estimators of linear CKA need, and no matrices.

    ‖X̃ᵀỸ‖² = ⟨X̃X̃ᵀ, ỸỸᵀ⟩: each layer's Gram matrix serves all its pairs, so that n² Σp / 2 multiply-adds do what takes
    n Σpq from covariances. By tiles: memory does not grow with n².

    Arguments:
        views: layer name to frames × units, all with the same frames.
        utterances: each frame's utterance index, in any order, or the list of lengths; `None`: not kept apart.
        pairs: the pairs to be measured.
    """
    check_views(views)
    views, lengths = by_utterance(views, utterances)
    widths = {name: x.shape[1] for name, x in views.items()}
    wide = any(resolution(x) < FLOAT32 for x in views.values())
    at = Coordinates.means(views)
    total = Accumulator(
        widths, pairs=[], utterances=lengths is not None, mergeable=False, coordinates=at, self_pairs=False
    )
    total.update(views, lengths)
    moments = total.take()
    with fast_float32():
        whole, within, norms = _products(views, at.origins, lengths, torch.float64 if wide else torch.float32)
    index = {name: i for i, name in enumerate(views)}
    products = {}
    for x, y in [*pairs, *((name, name) for name in views)]:
        i, j = index[x], index[y]
        inside = None if lengths is None else float(within[i, j])
        products[x, y] = InnerProducts(float(whole[i, j]), float(norms[i, j]), inside)
    return replace(moments, pairs=tuple(products), products=products)


def _products(
    views: Mapping[str, Array], origins: Mapping[str, Tensor], lengths: Sequence[int] | None, dtype: torch.dtype
) -> tuple[Tensor, Tensor, Tensor]:
    """⟨K_x, K_y⟩ over all frames, over frames of one utterance, and over each frame with itself; layers × layers."""
    n = len(next(iter(views.values())))
    counts = torch.tensor([n] if lengths is None else list(lengths))
    utterance = torch.repeat_interleave(counts)
    sizes = {name: _size(x, origins[name]) for name, x in views.items()}
    whole, within, norms = (torch.zeros(len(views), len(views), dtype=torch.float64) for _ in range(3))
    tiles = torch.empty(len(views) * TILE * TILE, dtype=dtype, device=next(iter(origins.values())).device)

    def centred(start: int) -> list[Tensor]:
        parts = {name: as_tensor(x[start : start + BLOCK]).to(dtype) for name, x in views.items()}
        return [(x - origins[name].to(dtype)) * sizes[name] for name, x in parts.items()]

    for r in range(0, n, BLOCK):
        rows = centred(r)
        a = torch.stack([torch.linalg.vector_norm(x, dim=1).double().square() for x in rows])
        norms += (a @ a.T).to(norms.device)
        for c in range(r, n, BLOCK):
            columns = rows if c == r else centred(c)
            for i, j, twice in _tiles(r, c, n):
                shape = (len(views), i.stop - i.start, j.stop - j.start)
                K = tiles[: shape[0] * shape[1] * shape[2]].view(shape)
                for tile, x, y in zip(K, rows, columns, strict=True):
                    torch.mm(x[i.start - r : i.stop - r], y[j.start - c : j.stop - c].T, out=tile)
                add_squares(K, whole, twice)
                if lengths is not None and utterance[i.stop - 1] >= utterance[j.start]:
                    K *= (utterance[i, None] == utterance[None, j]).to(K.device)
                    add_squares(K, within, twice)
    scale = torch.tensor([1 / sizes[name] ** 2 for name in views], dtype=torch.float64)
    unscale = torch.outer(scale, scale)
    return whole * unscale, within * unscale, norms * unscale


def _tiles(r: int, c: int, n: int) -> Iterator[tuple[slice, slice, int]]:
    """Tiles of the upper triangle in one block, and how often each counts."""
    for i in range(r, min(r + BLOCK, n), TILE):
        for j in range(max(i, c), min(c + BLOCK, n), TILE):
            yield slice(i, min(i + TILE, n, r + BLOCK)), slice(j, min(j + TILE, n, c + BLOCK)), 1 if i == j else 2


def _size(x: Array, origin: Tensor) -> float:
    """`unit_size` of a layer counted from its origin, from the ends of each unit's range: no copy of the layer."""
    ends = [torch.stack(as_tensor(x[start : start + BLOCK]).aminmax(dim=0)) for start in range(0, len(x), BLOCK)]
    return unit_size((torch.cat(ends).double() - origin).float())
