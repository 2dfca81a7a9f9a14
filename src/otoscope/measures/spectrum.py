"""What is worked out once for each layer: principal directions and the numerical rank."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from otoscope.errors import MeasureError
from otoscope.measures.moments import Moments

__all__ = ["Spectrum", "check_varies", "spectrum", "whitened_cross"]

EPS = float(torch.finfo(torch.float64).eps)


@dataclass(frozen=True, slots=True)
class Spectrum:
    """Eigenvalues of a layer's centred X̃ᵀX̃, largest first, cut at the numerical rank.

    `values` is (rank), `vectors` is units × rank, `total` the sum of all eigenvalues.
    """

    values: torch.Tensor
    vectors: torch.Tensor
    total: float

    @property
    def rank(self) -> int:
        """The number of directions that are more than rounding."""
        return len(self.values)

    def components(self, variance: float) -> int:
        """The smallest number of principal components that hold this share of the variance."""
        # The share of all `rank` components is 1 but for rounding, hence the slack.
        share = self.values.cumsum(0) / self.values.sum()
        return min(self.rank, int((share < variance * (1 - self.rank * EPS)).sum()) + 1)


def spectrum(moments: Moments, name: str) -> Spectrum:
    """The layer's spectrum, from one eigendecomposition for each moments.

    An eigenvalue counts towards the rank if it exceeds the largest of

    - 4 p ε₆₄ λ_max: what an eigendecomposition in float64 resolves;
    - max_j Σ_s (ε x_sj)²: the rounding of the numbers as they came (ε is the spacing of their format, x with its
      offset), so that float32 activations around 1000 do not gain a rank from their last bit;
    - max_j 64 ε² Σ_s (x_sj − mean)², ε at most float32's: rounding in the arithmetic that made them, so that 64
      units computed from 20 in float32 have rank 20.

    All are relative to the data: scaling a layer does not change its rank.
    """
    return moments.cached(("spectrum", name), lambda: _decompose(moments, name))


def _decompose(moments: Moments, name: str) -> Spectrum:
    check_varies(moments, name)
    block, covariance = moments.layer(name), moments.pair(name, name).cross
    values, vectors = torch.linalg.eigh((covariance + covariance.T) / 2)
    values, vectors = values.flip(0), vectors.flip(1)
    arithmetic = 64 * block.resolution / moments.frames * covariance.diagonal().max()
    cut = max(4 * len(values) * EPS * float(values[0]), float(block.storage.max()), float(arithmetic))
    rank = int((values > cut).sum())
    if not rank:
        raise MeasureError(_constant(name))
    return Spectrum(values[:rank], vectors[:, :rank], float(values.sum()))


def check_varies(moments: Moments, name: str) -> None:
    """Refuse a layer whose every unit is constant to the precision in which it came."""
    block = moments.layer(name)
    if float(block.energy) <= float(block.storage.sum()):
        raise MeasureError(_constant(name))


def whitened_cross(moments: Moments, x: str, y: str, kx: int, ky: int) -> torch.Tensor:
    """Λ_x^(-1/2) V_xᵀ X̃ᵀỸ V_y Λ_y^(-1/2) in the leading kx × ky components: its singular values are the
    canonical correlations.
    """
    X, Y = spectrum(moments, x), spectrum(moments, y)
    cross = X.vectors[:, :kx].T @ moments.pair(x, y).cross @ Y.vectors[:, :ky]
    return cross / torch.outer(X.values[:kx].sqrt(), Y.values[:ky].sqrt())


def _constant(name: str) -> str:
    return (
        f"layer '{name}' is constant over all frames (to the precision of its numbers), so nothing can correlate "
        "with it; look for dead units or leave the layer out"
    )
