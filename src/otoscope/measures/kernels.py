"""Kernels on frames: how alike two frames of one layer are, from their inner product and norms."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Protocol, Self

import torch

from otoscope.errors import MeasureError

__all__ = ["RBF", "Kernel", "Laplace", "Linear", "Polynomial", "median_distance", "squared_distances"]

MEDIAN_FRAMES = 1000  # the median of 500,000 distances is known well enough; exact up to so many frames


class Kernel(Protocol):
    """What kernel CKA needs to know of a kernel.

    Entries may leave out a constant that is the same for all pairs of frames: centring removes it, and small kernel
    differences keep their digits without it.
    """

    @property
    def name(self) -> str:
        """As in the measure's name, `cka-<name>`."""

    def fitted(self, x: torch.Tensor, unit: float = 1.0) -> Kernel:
        """The kernel with its scale taken from centred frames × units, which were multiplied by `unit`."""

    def entries(self, products: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        """The Gram matrix of some frames (rows) with others, from inner products and squared norms of both.

        `products` may be overwritten.
        """


@dataclass(frozen=True, slots=True)
class Linear:
    """The inner product of centred frames, k = ⟨x, y⟩: kernel CKA is then linear CKA."""

    name: ClassVar[str] = "linear"

    def fitted(self, x: torch.Tensor, unit: float = 1.0) -> Linear:
        """Itself: it has no scale."""
        return self

    def entries(self, products: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        """The inner products as they are."""
        return products


@dataclass(frozen=True, slots=True)
class Polynomial:
    """k = (⟨x, y⟩ / s + offset)^degree of centred frames, s their mean squared norm (so that scale does not count).

    Use it for interactions of up to `degree` units. Frames of large norm dominate it, the more so the higher the
    degree.
    """

    degree: int = 2
    offset: float = 1.0
    scale: float | None = None
    name: ClassVar[str] = "polynomial"

    def __post_init__(self) -> None:
        if self.degree < 1 or self.offset < 0:
            raise MeasureError(
                f"polynomial kernel of degree {self.degree} and offset {self.offset}; expected a degree of at least 1 "
                "and an offset of at least 0"
            )

    def fitted(self, x: torch.Tensor, unit: float = 1.0) -> Polynomial:
        """With s from these frames, where it was not given."""
        return replace(self, scale=float((x**2).sum(1).mean()) if self.scale is None else self.scale * unit**2)

    def entries(self, products: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        """The kernel less offset^degree."""
        return (products / _known(self.scale) + self.offset) ** self.degree - self.offset**self.degree


@dataclass(frozen=True, slots=True)
class _Radial:
    """A kernel of the distance between frames, measured in bandwidths."""

    factor: float = 1.0
    bandwidth: float | None = None

    def __post_init__(self) -> None:
        for what, value in (("factor", self.factor), ("bandwidth", self.bandwidth)):
            if value is not None and not value > 0:
                raise MeasureError(
                    f"kernel {what} is {value}; expected a number above 0 (`factor` counts in median distances "
                    "between frames, `bandwidth` in the layer's own units)"
                )

    def fitted(self, x: torch.Tensor, unit: float = 1.0) -> Self:
        """With the bandwidth from these frames, where it was not given."""
        found = self.factor * median_distance(x) if self.bandwidth is None else self.bandwidth * unit
        return replace(self, bandwidth=found)


@dataclass(frozen=True, slots=True)
class RBF(_Radial):
    """k = exp(−‖x − y‖² / (2σ²)), σ = factor × the median distance between frames, or the bandwidth given.

    Use it for what the linear kernel cannot see: local neighbourhoods (a factor well below 1), relations that are not
    linear. As the factor grows it approaches the linear kernel.

    >>> RBF().fitted(torch.tensor([[0.0], [3.0], [4.0]])).bandwidth
    3.0
    """

    name: ClassVar[str] = "rbf"

    def entries(self, products: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        """The kernel less 1."""
        return squared_distances(products, a, b).mul_(-0.5 / _known(self.bandwidth) ** 2).expm1_()

    def frequencies(self, width: int, count: int, generator: torch.Generator) -> torch.Tensor:
        """Draws (width × count) from its Fourier transform, a normal law."""
        normal = torch.randn(width, count, dtype=torch.float64, generator=generator)
        return normal / _known(self.bandwidth)


@dataclass(frozen=True, slots=True)
class Laplace(_Radial):
    """k = exp(−‖x − y‖ / σ), σ = factor × the median distance between frames, or the bandwidth given.

    Use it as the RBF kernel, with heavier tails: it sees near neighbours and far frames at once and depends less on
    the bandwidth. The distance is Euclidean, so that rotations leave it as it is.
    """

    name: ClassVar[str] = "laplace"

    def entries(self, products: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        """The kernel less 1."""
        return squared_distances(products, a, b).sqrt_().mul_(-1 / _known(self.bandwidth)).expm1_()

    def frequencies(self, width: int, count: int, generator: torch.Generator) -> torch.Tensor:
        """Draws (width × count) from its Fourier transform, a multivariate Cauchy law."""
        normal = torch.randn(width, count, dtype=torch.float64, generator=generator)
        common = torch.randn(count, dtype=torch.float64, generator=generator).abs()
        return normal / common / _known(self.bandwidth)


def squared_distances(products: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """‖x − y‖² in the place of ⟨x, y⟩, from the squared norms a and b of the rows' and the columns' frames."""
    # Rounding may leave a distance of 0 slightly negative.
    return products.mul_(-2).add_(a[:, None]).add_(b[None, :]).clamp_min_(0)


def median_distance(x: torch.Tensor) -> float:
    """The median distance between different frames (frames × units); of 1000 evenly spaced ones where there are more.

    Where half of these distances are 0, it is the median of the others.
    """
    rows = torch.linspace(0, len(x) - 1, min(len(x), MEDIAN_FRAMES), device=x.device).round().long()
    frames = x[rows].double()
    norms = (frames**2).sum(1)
    upper = torch.triu_indices(len(frames), len(frames), 1, device=x.device)
    distances = squared_distances(frames @ frames.T, norms, norms)[upper[0], upper[1]].sqrt_()
    # Equal frames come out at rounding, not at 0.
    apart = distances[distances > 1e-6 * norms.max().sqrt()]
    if 2 * len(apart) > len(distances):
        return float(distances.median())
    return float(apart.median()) if len(apart) else float((2 * (x.double() ** 2).sum(1).mean()).sqrt())


def _known(scale: float | None) -> float:
    if scale is None:
        raise MeasureError("this kernel's scale is not known yet; call its method fitted with the layer's frames first")
    return scale
