"""The canonical correlations and directions of a pair: found once, read by every measure of the CCA family."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from otoscope.float32 import fast_float32
from otoscope.measures.moments import Moments
from otoscope.measures.spectrum import Spectrum, spectrum, whitened_cross
from otoscope.measures.svd import left_svd

__all__ = ["Canonical", "canonical"]

STEADY = 1e-6  # correlations above this can be divided by; what they leave of the other side's directions is noise


@dataclass(frozen=True, slots=True)
class Canonical:
    """T = U diag(ρ) Vᵀ for the whitened cross-covariance T (r_x × r_y) of two layers.

    `x` and `y` are the layers' spectra, `correlations` the min(r_x, r_y) values ρ, largest first; `left` and `right`
    are U and V, one column for each. Directions are float32 where the activations were summed in float32.
    """

    x: Spectrum
    y: Spectrum
    correlations: Tensor
    _whitened: Tensor = field(repr=False)
    _found: dict[str, Tensor] = field(repr=False)

    @property
    def left(self) -> Tensor:
        """U (r_x × k): directions in x, whitened."""
        if "left" not in self._found:
            self._found["left"] = _other(self._whitened.T, self._found["right"], self.correlations)
        return self._found["left"]

    @property
    def right(self) -> Tensor:
        """V (r_y × k): directions in y, whitened."""
        if "right" not in self._found:
            self._found["right"] = _other(self._whitened, self._found["left"], self.correlations)
        return self._found["right"]

    def transposed(self) -> Canonical:
        """The same seen from y."""
        found = {
            side: self._found[other] for side, other in (("left", "right"), ("right", "left")) if other in self._found
        }
        return Canonical(self.y, self.x, self.correlations, self._whitened.T, found)


def canonical(moments: Moments, x: str, y: str) -> Canonical:
    """The canonical correlations of two layers of the moments, worked out once for each pair."""
    if (x, y) not in moments.blocks and (y, x) in moments.blocks:
        return canonical(moments, y, x).transposed()
    return moments.cached_pair(x, y, "canonical", lambda: _decompose(moments, x, y))


def _decompose(moments: Moments, x: str, y: str) -> Canonical:
    X, Y = spectrum(moments, x), spectrum(moments, y)
    if x == y:
        same = torch.eye(X.rank, dtype=torch.float64, device=X.values.device)
        return Canonical(X, Y, torch.ones_like(X.values), same, {"left": same, "right": same})
    T = whitened_cross(moments, x, y, X, Y, X.rank, Y.rank)
    if X.rank <= Y.rank:
        U, correlations = left_svd(T)
        return Canonical(X, Y, correlations, T, {"left": U})
    V, correlations = left_svd(T.T)
    return Canonical(X, Y, correlations, T, {"right": V})


def _other(T: Tensor, U: Tensor, correlations: Tensor) -> Tensor:
    """V from U = T V diag(1/ρ); decomposed anew where some ρ are too small to divide by."""
    if bool(correlations[-1] > STEADY):
        with fast_float32():
            return (T.T @ U.to(T)) / correlations
    V: Tensor = torch.linalg.svd(T, full_matrices=False)[2].T
    return V
