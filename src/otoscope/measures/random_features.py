"""Random Fourier features: a kernel as a linear map of more units, so that kernel CKA streams."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch

from otoscope.errors import MeasureError
from otoscope.measures.checks import Array, check_views
from otoscope.measures.kernels import RBF, Laplace

__all__ = ["RandomFeatures", "random_features"]


def random_features(
    kernels: Mapping[str, RBF | Laplace], widths: Mapping[str, int], *, dimension: int = 1024, seed: int = 0
) -> RandomFeatures:
    """Maps layers to features whose inner products are, on average, the kernel.

    Formula: z(x) = √(2/D) [cos ωᵢᵀx, sin ωᵢᵀx], i = 1 … D/2, ωᵢ drawn from the kernel's Fourier transform; then
    E[z(x)ᵀz(y)] = k(x, y), with a standard deviation of at most 1/√D.

    Use it for CKA with an RBF or Laplace kernel over more speech than memory or n² allows: the features go through
    `Moments` as any layer does, and linear CKA of the features, by any estimator, is kernel CKA of the layers with an
    error that falls as 1/√D (about 0.2/√D) and is low by a share of 1/D: 0.004 and 0.01 of 0.28 and 0.25 for RBF and
    Laplace kernels at D = 1024. Layers of one width share their draws. It costs n D (units + D) and memory D² for each
    pair. With few frames, `kernel_cka` is exact. Kernels much narrower than the median distance need more features.

    Arguments:
        kernels: layer name to kernel, with its bandwidth: `RBF().fitted(some frames)`, or `RBF(bandwidth=3.5)`.
        widths: units by layer name.
        dimension: D, an even number of features for each layer.
        seed: of the draws; processes that are to be merged take the same.

    Returns:
        The map: called with views (layer name to frames × units), it gives frames × D in the same order, float32 for
        types up to float32, else float64.

    Raises:
        MeasureError: a kernel without bandwidth or without random features, names that differ, an odd `dimension`.

    Source: Rahimi & Recht 2007.

    >>> import torch
    >>> from otoscope.measures import RBF, Moments, kernel_cka, random_features
    >>> from otoscope.measures.cka import compute
    >>> x = torch.randn(300, 4, generator=torch.Generator().manual_seed(0))
    >>> views = {"a": x, "b": x**2}
    >>> kernels = {name: RBF().fitted(x) for name, x in views.items()}
    >>> features = random_features(kernels, {"a": 4, "b": 4}, dimension=512)
    >>> streamed = compute(Moments.of(features(views)), "a", "b")
    >>> abs(streamed.value - kernel_cka(x, x**2).value) < 0.05
    True
    """
    if set(kernels) != set(widths):
        raise MeasureError(
            f"random features of kernels for {', '.join(kernels)} but widths of {', '.join(widths)}; name the same "
            "layers in both"
        )
    if dimension < 2 or dimension % 2:
        raise MeasureError(
            f"random features of dimension {dimension}; expected an even number of at least 2 (pairs of a sine and a "
            "cosine)"
        )
    draws = {}
    for name, kernel in kernels.items():
        if not isinstance(kernel, (RBF, Laplace)):
            raise MeasureError(
                f"layer '{name}' has the kernel {kernel}, which has no random Fourier features; use RBF or Laplace. "
                "(Linear features are the units themselves)"
            )
        # One seed for all: equal layers get equal features, and their CKA is 1.
        generator = torch.Generator().manual_seed(seed)
        draws[name] = kernel.frequencies(widths[name], dimension // 2, generator)
    return RandomFeatures(dict(widths), dimension, draws)


@dataclass(frozen=True, slots=True, eq=False)
class RandomFeatures:
    """What `random_features` returns.

    Attributes:
        widths: units by layer name, of the layers it takes.
        dimension: the number of features of each layer it gives.
        frequencies: (units × dimension/2) by layer name.
    """

    widths: Mapping[str, int]
    dimension: int
    frequencies: Mapping[str, torch.Tensor] = field(repr=False)

    def __call__(self, views: Mapping[str, Array]) -> dict[str, torch.Tensor]:
        """Each layer's frames × features."""
        check_views(views, self.widths)
        return {name: self._features(name, x) for name, x in views.items()}

    def _features(self, name: str, x: Array) -> torch.Tensor:
        frames = torch.as_tensor(x).detach()
        frames = frames.to(torch.promote_types(frames.dtype, torch.float32))
        phases = frames @ self.frequencies[name].to(frames)
        return torch.cat([phases.cos(), phases.sin()], 1).mul_((2 / self.dimension) ** 0.5)
