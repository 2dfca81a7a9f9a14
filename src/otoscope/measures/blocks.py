"""The sums that are kept for each layer and each pair of layers, and how they change with the origin.

Frames x_s of a layer are counted from a provisional origin (the mean of the first update), so that large offsets
cost no precision. s_u and t_u are the sums of an utterance's n_u frames, A_u = X_uᵀY_u, a_s = ‖x_s‖², b_s = ‖y_s‖².
The sums below are closed under a change of origin x → x − m, y → y − μ: that is what lets two moments with
different origins merge exactly, and what centres the features exactly at the end. They are also closed under a turn
of the axes, since every scalar in them is a length or an inner product.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Self

import numpy as np
import torch

from otoscope.errors import MeasureError

__all__ = ["LayerBlock", "Pair", "PairBlock", "Sums"]

Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Sums:
    """Tensors that add up field by field; a field is `None` where utterances are not kept."""

    def add_(self, other: Self) -> None:
        """Add `other` in place: for an accumulator that owns these tensors."""
        for f in fields(self):
            mine, theirs = getattr(self, f.name), getattr(other, f.name)
            if mine is not None:
                mine.add_(theirs.to(mine.device))

    def sub_(self, other: Self) -> None:
        """Take `other` away in place: for an accumulator that owns these tensors."""
        for f in fields(self):
            mine, theirs = getattr(self, f.name), getattr(other, f.name)
            if mine is not None:
                mine.sub_(theirs.to(mine.device))

    def set_(self, other: Self) -> None:
        """Become `other` in place: for an accumulator that owns these tensors."""
        for f in fields(self):
            mine, theirs = getattr(self, f.name), getattr(other, f.name)
            if mine is not None:
                mine.copy_(theirs)

    def copy(self) -> Self:
        """The same sums in tensors of their own."""
        return type(self)(*(None if v is None else v.clone() for v in self.tensors().values()))

    def to(self, device: torch.device) -> Self:
        """The same sums on `device`."""
        return type(self)(*(None if v is None else v.to(device) for v in self.tensors().values()))

    def tensors(self) -> dict[str, torch.Tensor | None]:
        """The sums by field name."""
        return {f.name: getattr(self, f.name) for f in fields(self)}


@dataclass(frozen=True, slots=True)
class LayerBlock(Sums):
    """One layer's sums (p units)."""

    total: torch.Tensor  # (p) Σ x_s
    energy: torch.Tensor  # () Σ a_s
    storage: torch.Tensor  # (p) Σ (ε x_s)², x as it came: what its number format cannot resolve
    resolution: torch.Tensor  # () Σ ε², at most float32's: what the arithmetic behind it cannot resolve
    weighted: torch.Tensor | None  # (p) Σ n_u s_u
    between: torch.Tensor | None  # () Σ ‖s_u‖²

    @classmethod
    def zeros(cls, widths: Mapping[str, int], utterances: bool) -> dict[str, LayerBlock]:
        """Nothing added yet, for layers of these widths."""
        vectors = iter(_zeros([p for p in widths.values() for _ in range(3 if utterances else 2)]))
        scalars = iter(torch.zeros(3 * len(widths), dtype=torch.float64).unbind())
        made = {}
        for name in widths:
            by_utterance = (next(vectors), next(scalars)) if utterances else (None, None)
            made[name] = cls(next(vectors), next(scalars), next(vectors), next(scalars), *by_utterance)
        return made

    def turned(self, axes: torch.Tensor | None) -> LayerBlock:
        """The sums of x B for axes B; storage stays by unit, as it came."""
        if axes is None:
            return self
        weighted = None if self.weighted is None else self.weighted @ axes
        return LayerBlock(self.total @ axes, self.energy, self.storage, self.resolution, weighted, self.between)

    def by_utterance(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Σ n_u s_u and Σ ‖s_u‖², where utterances are kept."""
        if self.weighted is None or self.between is None:
            raise MeasureError("these moments do not keep utterances apart; make them with utterance lengths")
        return self.weighted, self.between

    def moved(self, m: torch.Tensor, frames: int, squares: int) -> LayerBlock:
        """The sums of x − m; `squares` is Σ n_u²."""
        weighted = between = None
        if self.weighted is not None and self.between is not None:
            weighted = self.weighted - squares * m
            between = self.between - 2 * (m @ self.weighted) + squares * (m @ m)
        return LayerBlock(
            total=self.total - frames * m,
            energy=self.energy - 2 * (m @ self.total) + frames * (m @ m),
            storage=self.storage,
            resolution=self.resolution,
            weighted=weighted,
            between=between,
        )


@dataclass(frozen=True, slots=True)
class PairBlock(Sums):
    """The sums of a pair of layers (p and q units)."""

    cross: torch.Tensor  # (p, q) A = Σ A_u
    norms: torch.Tensor  # () Σ a_s b_s
    norm_y: torch.Tensor  # (q) Σ a_s y_s
    norm_x: torch.Tensor  # (p) Σ b_s x_s
    spread: torch.Tensor | None  # (p, q) E = Σ (n_u A_u + s_u t_uᵀ); None where origins will not move
    cross_t: torch.Tensor | None  # (p) Σ A_u t_u
    cross_s: torch.Tensor | None  # (q) Σ A_uᵀ s_u
    within: torch.Tensor | None  # () Σ ‖A_u‖²

    @classmethod
    def zeros(cls, sizes: Mapping[Pair, tuple[int, int]], utterances: bool, spread: bool) -> dict[Pair, PairBlock]:
        """Nothing added yet, for pairs of layers of these widths.

        All matrices lie in one piece of memory, which numpy asks of the system in large pages and leaves to it to fill
        with zeros: torch would write them one by one, and small pages are slow to come by.
        """
        twice = utterances and spread
        matrices = iter(_zeros([p * q for p, q in sizes.values() for _ in range(2 if twice else 1)]))
        each = [size for p, q in sizes.values() for size in ((q, p, p, q) if utterances else (q, p))]
        vectors = iter(_zeros(each))
        scalars = iter(torch.zeros(2 * len(sizes), dtype=torch.float64).unbind())
        made = {}
        for pair, (p, q) in sizes.items():
            cross = next(matrices).view(p, q)
            norm_y, norm_x = next(vectors), next(vectors)
            kept: tuple[torch.Tensor | None, ...] = (None,) * 4
            if utterances:
                spreads = next(matrices).view(p, q) if twice else None
                kept = spreads, next(vectors), next(vectors), next(scalars)
            made[pair] = cls(cross, next(scalars), norm_y, norm_x, *kept)
        return made

    @classmethod
    def of_covariance(cls, cross: torch.Tensor) -> PairBlock:
        """A pair of which nothing but A is known."""
        p, q = cross.shape
        norms, norm_y, norm_x = (cross.new_full(size, float("nan")) for size in ((), (q,), (p,)))
        return cls(cross, norms, norm_y, norm_x, spread=None, cross_t=None, cross_s=None, within=None)

    def turned(self, x: torch.Tensor | None, y: torch.Tensor | None) -> PairBlock:
        """The sums of (x B, y C) for axes B and C."""

        def left(v: torch.Tensor | None) -> torch.Tensor | None:
            return v if v is None or x is None else x.T @ v

        def right(v: torch.Tensor | None) -> torch.Tensor | None:
            return v if v is None or y is None else v @ y

        cross, norm_y, norm_x = right(left(self.cross)), right(self.norm_y), left(self.norm_x)
        assert cross is not None
        assert norm_y is not None
        assert norm_x is not None
        spread, cross_t, cross_s = right(left(self.spread)), left(self.cross_t), right(self.cross_s)
        return PairBlock(cross, self.norms, norm_y, norm_x, spread, cross_t, cross_s, self.within)

    def transposed(self) -> PairBlock:
        """The same pair seen from y."""
        spread = None if self.spread is None else self.spread.T
        return PairBlock(
            self.cross.T, self.norms, self.norm_x, self.norm_y, spread, self.cross_s, self.cross_t, self.within
        )

    def moved(
        self, m: torch.Tensor, mu: torch.Tensor, x: LayerBlock, y: LayerBlock, frames: int, squares: int
    ) -> PairBlock:
        """The sums of (x − m, y − μ); `x` and `y` are the layers' sums before the move."""
        A, M, V, mx, my = self.cross, m @ m, mu @ mu, m @ x.total, mu @ y.total
        mA, Amu = m @ A, A @ mu
        norms = (
            self.norms - 2 * (mu @ self.norm_y) - 2 * (m @ self.norm_x) + V * x.energy + M * y.energy
            + 4 * (mA @ mu) - 2 * V * mx - 2 * M * my + frames * M * V
        )  # fmt: skip
        norm_y = self.norm_y - mu * x.energy - 2 * mA + 2 * mu * mx + M * y.total - frames * M * mu
        norm_x = self.norm_x - m * y.energy - 2 * Amu + 2 * m * my + V * x.total - frames * V * m
        cross = A - torch.outer(x.total, mu) - torch.outer(m, y.total) + frames * torch.outer(m, mu)
        return PairBlock(cross, norms, norm_y, norm_x, *self._utterance_sums_moved(m, mu, x, y, squares))

    def _utterance_sums_moved(
        self, m: torch.Tensor, mu: torch.Tensor, x: LayerBlock, y: LayerBlock, squares: int
    ) -> tuple[torch.Tensor | None, torch.Tensor | None, torch.Tensor | None, torch.Tensor | None]:
        E, P, R, g = self.spread, self.cross_t, self.cross_s, self.within
        if P is None or R is None or g is None:
            return None, None, None, None
        S, sigma, T, tau, Q = *x.by_utterance(), *y.by_utterance(), squares
        M, V, mS, muT = m @ m, mu @ mu, m @ S, mu @ T
        g = g + V * sigma + M * tau + Q * M * V - 2 * (mu @ R) - 2 * (m @ P) - 2 * V * mS - 2 * M * muT
        P = P + V * S - m * tau + 2 * m * muT - Q * V * m
        R = R + M * T - mu * sigma + 2 * mu * mS - Q * M * mu
        if E is not None:
            Emu, mE = E @ mu, m @ E
            g, P, R = g + 2 * (m @ Emu), P - Emu, R - mE
            # n_u A_u and s_u t_uᵀ change by the same matrix, so one block carries both.
            E = E + 2 * (Q * torch.outer(m, mu) - torch.outer(S, mu) - torch.outer(m, T))
        return E, P, R, g


def _zeros(sizes: Sequence[int]) -> tuple[torch.Tensor, ...]:
    """Vectors of these sizes, cut from one piece of memory: making them one by one takes longer than adding to them."""
    return torch.split(torch.from_numpy(np.zeros(sum(sizes))), list(sizes))
