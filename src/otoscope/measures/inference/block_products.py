"""What CKA needs of any weighting of blocks, from products between the blocks' sums: no matrix is summed again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from otoscope.measures.blocks import LayerBlock, Pair, PairBlock
from otoscope.measures.inference.block_moments import BlockMoments
from otoscope.measures.inference.combine import aligned, stack
from otoscope.measures.moments import InnerProducts, Moments

__all__ = ["block_products"]


def block_products(
    blocks: BlockMoments, pairs: Sequence[Pair], weightings: Sequence[Sequence[int]]
) -> Iterator[Moments]:
    """The moments of speech in which each block occurs so many times, with what CKA needs of these pairs only.

    Formula: with A_b, s_b, t_b the sums of block b and whole-number weights w, n = Σ w_b n_b, s = Σ w_b s_b and
    t = Σ w_b t_b,

    ‖Σ x̃_s ỹ_sᵀ‖² = Σ_bc w_b w_c ⟨A_b, A_c⟩ − (2/n) Σ_b w_b sᵀ A_b t + ‖s‖² ‖t‖² / n²,

    and alike for the other sums that the estimators of CKA go by: all are polynomials in w, whose coefficients are
    products between blocks. Finding these takes as long as a few sums over the blocks' matrices, however many
    weightings there are. What copies of a block leave out is as in `Resampler`, which makes the matrices themselves.

    Arguments:
        blocks: the moments of blocks of speech.
        pairs: pairs of layers; those that the blocks do not hold are left out.
        weightings: for each of the moments wanted, a weight for each of `blocks.parts`.
    """
    parts = aligned(blocks.parts)
    weights = torch.tensor(weightings, dtype=torch.float64)
    speech = _Speech(weights, parts)
    names = dict.fromkeys(name for pair in pairs for name in pair)
    layers = {name: _layer([part.layers[name] for part in parts], speech) for name in names}
    wanted = {frozenset(pair) for pair in pairs}
    found: dict[Pair, list[InnerProducts]] = {}
    room: dict[torch.Size, Tensor] = {}  # for one pair's matrices side by side, used again for every pair of this shape
    for x, y in parts[0].blocks:
        if frozenset((x, y)) in wanted:
            found[x, y] = _products([part.blocks[x, y] for part in parts], layers[x], layers[y], speech, room)
    for r in range(len(weights)):
        yield replace(
            parts[0],
            widths={name: parts[0].widths[name] for name in names},
            pairs=tuple(found),
            frames=round(float(speech.n[r])),
            utterances=None if parts[0].utterances is None else round(float(speech.utterances[r])),
            squares=round(float(speech.squares[r])),
            layers={name: layer.sums(r) for name, layer in layers.items()},
            blocks={},
            products={pair: each[r] for pair, each in found.items()},
            _cache={},
            _pair_cache={},
        )


class _Speech:
    """The amounts of speech under R weightings of B blocks; `c` counts each block's pairs of copies, w² − w."""

    def __init__(self, w: Tensor, parts: Sequence[Moments]) -> None:
        self.w, self.c = w, w * w - w
        self.frames = w.new_tensor([part.frames for part in parts])
        self.n = w @ self.frames
        self.utterances = w @ w.new_tensor([part.utterances or 0 for part in parts])
        self.squares = w @ w.new_tensor([part.squares for part in parts]) + self.c @ self.frames**2


@dataclass(frozen=True, slots=True)
class _Layer:
    """A layer under every weighting: its sums (R × …), those of the blocks, and lengths of what is taken off."""

    stacked: LayerBlock  # of each weighting
    totals: Tensor  # (B, p) s_b
    gram: Tensor  # (B, B) s_b · s_c
    mean2: Tensor  # (R) M = ‖m‖²
    copied: Tensor  # (R) Σ c_b Σ_{s∈b} ‖x_s‖²
    copied_along: Tensor  # (R) m · Σ c_b s_b
    along: Tensor  # (R) m · Σ n_u s_u, 0 where utterances are not kept apart

    def sums(self, r: int) -> LayerBlock:
        """Those of one weighting."""
        return _map(self.stacked, lambda v: v[r])


def _layer(blocks: Sequence[LayerBlock], speech: _Speech) -> _Layer:
    apart = stack([block.to(torch.device("cpu")) for block in blocks])
    w, c, s, n = speech.w, speech.c, apart.total, speech.n
    sums = _map(apart, lambda v: w @ v)
    if sums.weighted is not None and sums.between is not None:
        sums.weighted.add_((c * speech.frames) @ s)
        sums.between.add_(c @ s.square().sum(1))
    gram, m = s @ s.T, sums.total / n[:, None]
    return _Layer(
        stacked=sums,
        totals=s,
        gram=gram,
        mean2=m.square().sum(1),
        copied=c @ apart.energy,
        copied_along=((c @ gram) * w).sum(1) / n,
        along=torch.zeros_like(n) if sums.weighted is None else (m * sums.weighted).sum(1),
    )


def _products(
    blocks: Sequence[PairBlock], X: _Layer, Y: _Layer, speech: _Speech, room: dict[torch.Size, Tensor]
) -> list[InnerProducts]:
    """What CKA needs of a pair, under every weighting; products between blocks are few, and go on on the processor."""
    w, c, n, M, V = speech.w, speech.c, speech.n, X.mean2, Y.mean2
    A = _together([block.cross for block in blocks], room)
    between = (A.flatten(1) @ A.flatten(1).T).cpu()  # ⟨A_b, A_c⟩
    sAt = _bilinear(X.totals, A, Y.totals)  # (B, B, B) s_cᵀ A_b t_d
    of_each = torch.einsum("bcd,rc,rd->rb", sAt, w, w) / n[:, None] ** 2  # mᵀ A_b μ
    mAmu = (w * of_each).sum(1)
    norms = _stacked([block.norms for block in blocks])
    by_y = _stacked([b.norm_y for b in blocks]) @ Y.totals.T  # Σ a_s y_s · t_d of each block
    by_x = _stacked([b.norm_x for b in blocks]) @ X.totals.T  # Σ b_s x_s · s_c
    energy_x, energy_y = X.stacked.energy, Y.stacked.energy

    square = ((w @ between) * w).sum(1) - 2 * n * mAmu + n * n * M * V
    diagonal = (
        w @ norms - 2 * ((w @ (by_y + by_x)) * w).sum(1) / n + V * energy_x + M * energy_y + 4 * mAmu - 3 * n * M * V
    )
    # The copies' own Σ a_s b_s, centred with the mean of all.
    diagonal = diagonal + (
        c @ norms - 2 * ((c @ (by_y + by_x)) * w).sum(1) / n + V * X.copied + M * Y.copied
        + 4 * (c * of_each).sum(1) - 2 * V * X.copied_along - 2 * M * Y.copied_along + (c @ speech.frames) * M * V
    )  # fmt: skip
    if blocks[0].within is None:
        return [InnerProducts(a, b, None) for a, b in zip(square.tolist(), diagonal.tolist(), strict=True)]

    cross_t, cross_s = _stacked([_kept(b.cross_t) for b in blocks]), _stacked([_kept(b.cross_s) for b in blocks])
    within = _stacked([_kept(block.within) for block in blocks])
    b = torch.arange(len(blocks))
    # m · Σ A_u t_u and μ · Σ A_uᵀ s_u; a copied block counts as an utterance paired with itself.
    mP = ((w @ (cross_t @ X.totals.T)) * w).sum(1) / n + ((c @ sAt[b, :, b]) * w).sum(1) / n
    muR = ((w @ (cross_s @ Y.totals.T)) * w).sum(1) / n + ((c @ sAt[b, b, :]) * w).sum(1) / n
    if blocks[0].spread is None:
        spread = speech.squares / n * mAmu + n * n * M * V / speech.utterances  # as in `Moments.centred`
    else:
        E = _bilinear(X.totals, _together([_kept(block.spread) for block in blocks], room), Y.totals)
        ms, mut = w @ X.gram / n[:, None], w @ Y.gram / n[:, None]  # m · s_b and μ · t_b
        spread = torch.einsum("rb,bcd,rc,rd->r", w, E, w, w) / n**2
        spread = spread + (c * (speech.frames * of_each + ms * mut)).sum(1)
    sigma, tau = _kept(X.stacked.between), _kept(Y.stacked.between)
    inside = (
        w @ within + c @ between.diagonal() + V * sigma + M * tau + speech.squares * M * V
        - 2 * muR - 2 * mP - 2 * V * X.along - 2 * M * Y.along + 2 * spread
    )  # fmt: skip
    return [InnerProducts(*row) for row in zip(square.tolist(), diagonal.tolist(), inside.tolist(), strict=True)]


def _map(block: LayerBlock, of: Callable[[Tensor], Tensor]) -> LayerBlock:
    return LayerBlock(**{name: None if v is None else of(v) for name, v in block.tensors().items()})  # type: ignore[arg-type]


def _bilinear(left: Tensor, matrices: Tensor, right: Tensor) -> Tensor:
    """(B, B, B) left_cᵀ M_b right_d."""
    blocks, p, q = matrices.shape
    onto = (matrices.view(-1, q) @ right.to(matrices).T).view(blocks, p, -1)  # one product, not one for each block
    return (left.to(matrices) @ onto).cpu()


def _together(matrices: Sequence[Tensor], room: dict[torch.Size, Tensor]) -> Tensor:
    """The blocks' matrices side by side, until the next of this shape."""
    shape = matrices[0].shape
    if shape not in room:
        room[shape] = matrices[0].new_empty(len(matrices), *shape)
    return torch.stack(list(matrices), out=room[shape])


def _stacked(values: Sequence[Tensor]) -> Tensor:
    return torch.stack(list(values)).cpu()


def _kept(value: Tensor | None) -> Tensor:
    assert value is not None  # block moments keep utterances apart
    return value
