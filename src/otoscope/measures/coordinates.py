"""What frames are counted from and along which axes they are summed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from otoscope.float32 import fast_float32
from otoscope.measures.blocks import Pair
from otoscope.measures.checks import Array, as_tensor, exact_mean, resolution
from otoscope.measures.svd import eigh

__all__ = ["FLOAT32", "Coordinates", "eigenvectors", "float32_pays", "principal_axes", "unit_size"]

FLOAT32 = float(torch.finfo(torch.float32).eps)
SMALL = 1 << 27  # multiply-adds below which float64 costs nothing worth saving
SEEN = 2048  # frames that principal axes are taken from, or twice the units where these are more


@dataclass(frozen=True, slots=True)
class Coordinates:
    """Each layer's origin (units) and axes (units × units, orthogonal; `None` where it is summed by units)."""

    origins: dict[str, Tensor]
    axes: dict[str, Tensor | None]

    @classmethod
    def means(cls, views: Mapping[str, Array]) -> Coordinates:
        """The exact means of whole layers, in the precision of the frames; summed by units."""
        origins = {name: exact_mean(x) for name, x in views.items()}
        if all(resolution(x) >= FLOAT32 for x in views.values()):
            origins = {name: origin.float().double() for name, origin in origins.items()}
        return cls(origins, dict.fromkeys(views))

    @classmethod
    def of(cls, views: Mapping[str, Array], pairs: Sequence[Pair] | None = None) -> Coordinates:
        """Of whole layers: their exact means and, where float32 will do for them, their principal axes."""
        origins = cls.means(views).origins
        frames, widths = len(next(iter(views.values()))), {name: x.shape[1] for name, x in views.items()}
        wide = any(resolution(x) < FLOAT32 for x in views.values())
        if wide or not float32_pays(frames, widths, pairs):
            return cls(origins, dict.fromkeys(views))
        step = max(1, frames // max(SEEN, 2 * max(widths.values())))
        seen = {name: as_tensor(x[::step]).float() - origins[name].float() for name, x in views.items()}
        return cls(origins, {name: principal_axes(x) for name, x in seen.items()})


def float32_pays(frames: int, widths: Mapping[str, int], pairs: Sequence[Pair] | None) -> bool:
    """Whether there is much to sum, and enough to take axes from."""
    if pairs is None:
        work = frames * sum(widths.values()) ** 2 / 2
    else:
        work = frames * sum(widths[x] * widths[y] for x, y in pairs)
    return frames >= max(widths.values()) and work >= SMALL


def principal_axes(x: Tensor) -> Tensor:
    """Eigenvectors of float32 frames' covariance (centred already), rounded to what float32 can turn by."""
    x = x * unit_size(x)
    with fast_float32():
        covariance = (x.T @ x).double()
    return eigenvectors(covariance)


def eigenvectors(covariance: Tensor) -> Tensor:
    """Principal axes of a float64 covariance, rounded to what float32 can turn by."""
    return eigh((covariance + covariance.T) / 2)[1].float().double()


def unit_size(x: Tensor) -> float:
    """A power of two that brings the largest magnitude of float32 frames to about 1; float64 needs none."""
    if x.dtype == torch.float64:
        return 1.0
    low, high = (float(v) for v in x.aminmax())
    largest = max(-low, high)
    return 2.0 ** -max(math.frexp(largest)[1], -126) if largest else 1.0
