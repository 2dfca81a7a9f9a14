"""What is worked out once for each layer: principal directions and the numerical rank."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from otoscope.errors import MeasureError
from otoscope.float32 import fast_float32
from otoscope.measures.moments import Moments
from otoscope.measures.svd import eigh

__all__ = ["Spectrum", "check_varies", "spectrum", "whitened_cross", "whitener"]

EPS = float(torch.finfo(torch.float64).eps)
CORRELATED = 100  # along axes that moments were merged to; those made in one piece stay far below
ARITHMETIC = 64  # how far, in variance, the arithmetic behind an activation may exceed one rounding of the result


@dataclass(frozen=True, slots=True)
class Spectrum:
    """Eigenvalues of a layer's centred D⁻¹X̃ᵀX̃D⁻¹, largest first, cut at the numerical rank.

    `values` is (rank), `vectors` is units × rank, `scale` (units) is D's diagonal; dead units have rows of zeros.
    """

    values: torch.Tensor
    vectors: torch.Tensor
    scale: torch.Tensor
    standardised: bool

    @property
    def rank(self) -> int:
        """The number of directions that are more than rounding."""
        return len(self.values)

    def components(self, variance: float) -> int:
        """The smallest number of principal components that hold this share of the variance."""
        # The share of all `rank` components is 1 but for rounding, hence the slack.
        share = self.values.cumsum(0) / self.values.sum()
        return min(self.rank, int((share < variance * (1 - self.rank * EPS)).sum()) + 1)


def spectrum(moments: Moments, name: str, *, standardised: bool = True) -> Spectrum:
    """The layer's spectrum, decomposed once for each moments; after standardising each unit, or as the units are.

    Standardised units keep `cca` from depending on the scale of single units; principal components (`svcca`) are
    those of the units as they are.

    A direction v counts towards the rank if its eigenvalue exceeds both

    - 4 p ε₆₄ λ_max: what an eigendecomposition in float64 resolves;
    - the share of it that is rounding, Σ_j v_j² noise_j, where a unit's noise is Σ_s (ε x_sj)², the rounding of the
      numbers as they came (ε is the spacing of their format, x with its offset: float32 activations around 1000 must
      not gain a rank from their last bit), and 64 ε² Σ_s (x_sj − mean_j)², ε at most float32's, the rounding in the
      arithmetic that made them (256 units computed from 64 in float32 have rank 64).

    A unit is dead if its own variance does not exceed its rounding, or is below 64 ε² of the most varying unit's.
    All of this is relative to the data: scaling a layer does not change its rank. It goes by the type in which the
    data came: float32 activations converted to float64 before they are measured lose the protection.
    """
    return moments.cached(("spectrum", name, standardised), lambda: _decompose(moments, name, standardised))


def _decompose(moments: Moments, name: str, standardised: bool) -> Spectrum:
    check_varies(moments, name)
    block, covariance, to_units = moments.layer(name), moments.centred(name, name).cross, moments.to_units(name)
    if to_units is not None:
        covariance = to_units.T @ covariance @ to_units
    variance = covariance.diagonal()
    arithmetic = ARITHMETIC * block.resolution / moments.frames
    alive = (variance > block.storage) & (variance > arithmetic * variance.max())
    scale = variance.clamp_min(0).sqrt() if standardised else torch.ones_like(variance)
    scale = torch.where(alive, scale, 1)
    noise = (block.storage + arithmetic * (variance if standardised else variance.max())) / scale**2
    covariance = covariance * torch.outer(alive / scale, alive / scale)
    values, vectors = eigh((covariance + covariance.T) / 2)
    values, vectors = values.flip(0), vectors.flip(1)
    keep = (values > 4 * len(values) * EPS * values[0]) & (values > noise @ vectors**2)
    if not bool(keep.any()):
        raise MeasureError(_constant(name))
    return Spectrum(values[keep], vectors[:, keep], scale, standardised)


def check_varies(moments: Moments, name: str) -> None:
    """Refuse a layer whose every unit is constant to the precision in which it came."""
    block = moments.layer(name)
    if float(block.energy) <= float(block.storage.sum()):
        raise MeasureError(_constant(name))


def whitened_cross(moments: Moments, x: str, y: str, X: Spectrum, Y: Spectrum, kx: int, ky: int) -> torch.Tensor:
    """Λ_x^(-1/2) V_xᵀ X̃ᵀỸ V_y Λ_y^(-1/2) in the leading kx × ky directions.

    Its singular values are the canonical correlations of these. Float32 where the activations were summed in it.
    """
    if moments.axes[x] is not None and moments.axes[y] is not None:
        # Along nearly principal axes, scaled to unit variance, all numbers are about 1 and float32 is good enough.
        left, right = _scaled_whitener(moments, x, X, kx), _scaled_whitener(moments, y, Y, ky)
        if left is not None and right is not None:
            cross = moments.cached_pair(x, y, "scaled", lambda: _scaled_cross(moments, x, y))
            with fast_float32():
                return left.T @ cross @ right
    return whitener(moments, x, X, kx).T @ moments.centred(x, y).cross @ whitener(moments, y, Y, ky)


def _scaled_cross(moments: Moments, x: str, y: str) -> torch.Tensor:
    dx, dy = _deviations(moments, x), _deviations(moments, y)
    largest = dy.max()  # keeps what is halfway there within float32
    half = (moments.centred(x, y).cross * (1 / (dx * largest))[:, None]).float()
    return half.mul_((largest / dy).float())


def _scaled_whitener(moments: Moments, name: str, spectrum: Spectrum, k: int) -> torch.Tensor | None:
    """`whitener` for coordinates of unit variance; `None` where they are so correlated that float32 will not do."""

    def scale() -> torch.Tensor | None:
        scaled = whitener(moments, name, spectrum, k) * _deviations(moments, name)[:, None]
        # The columns' norms are 1 along principal axes; their squares are what float32's rounding is multiplied by.
        return scaled.float() if bool((scaled.square().sum(0) < CORRELATED).all()) else None

    return moments.cached(("scaled whitener", name, spectrum.standardised, k), scale)


def whitener(moments: Moments, name: str, spectrum: Spectrum, k: int) -> torch.Tensor:
    """W (units × k, along the layer's own axes): the frames along these times W are orthonormal columns."""

    def whiten() -> torch.Tensor:
        in_units = spectrum.vectors[:, :k] / torch.outer(spectrum.scale, spectrum.values[:k].sqrt())
        to_units = moments.to_units(name)
        return in_units if to_units is None else to_units @ in_units

    return moments.cached(("whitener", name, spectrum.standardised, k), whiten)


def _deviations(moments: Moments, name: str) -> torch.Tensor:
    """Each coordinate's √Σz̃², or 1 where it holds nothing."""

    def find() -> torch.Tensor:
        variance = moments.centred(name, name).cross.diagonal()
        return torch.where(variance > 0, variance, 1).sqrt()

    return moments.cached(("deviations", name), find)


def _constant(name: str) -> str:
    return (
        f"layer '{name}' is constant over all frames (to the precision of its numbers), so nothing can correlate "
        "with it; look for dead units or leave the layer out"
    )
