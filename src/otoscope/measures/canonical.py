"""The canonical correlations and directions of a pair: found once, read by every measure of the CCA family."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from otoscope.float32 import fast_float32
from otoscope.measures.gradient import STEADY
from otoscope.measures.moments import Moments
from otoscope.measures.spectrum import Spectrum, spectrum, whitened_cross
from otoscope.measures.svd import left_svd, singular_values

__all__ = ["Canonical", "canonical"]


@dataclass(frozen=True, slots=True)
class Canonical:
    """T = U diag(ρ) Vᵀ for the whitened cross-covariance T (r_x × r_y) of two layers.

    `x` and `y` are the layers' spectra, `correlations` the min(r_x, r_y) values ρ, largest first; `left` and `right`
    are U and V, one column for each, found when they are first asked for: that costs several times the correlations.
    Directions are float64, but no better than float32 where the activations were summed in float32.
    """

    x: Spectrum
    y: Spectrum
    _whitened: Tensor = field(repr=False)
    _found: dict[str, Tensor] = field(repr=False)
    _turned: bool = False

    @property
    def correlations(self) -> Tensor:
        """ρ."""
        if "correlations" not in self._found:
            self._found["correlations"] = singular_values(self._whitened)
        return self._found["correlations"]

    @property
    def left(self) -> Tensor:
        """U (r_x × k): directions in x, whitened."""
        return self._directions("right" if self._turned else "left")

    @property
    def right(self) -> Tensor:
        """V (r_y × k): directions in y, whitened."""
        return self._directions("left" if self._turned else "right")

    def matched(self) -> tuple[Tensor, Tensor]:
        """U and V whose columns belong to each other; 0 on one side where a correlation is too small to say which."""
        T = self._whitened
        if len(T) <= T.shape[1]:
            U = self._directions("left")
            V = _matching(T.T, U, self.correlations)
        else:
            V = self._directions("right")
            U = _matching(T, V, self.correlations)
        return (V, U) if self._turned else (U, V)

    def transposed(self) -> Canonical:
        """The same seen from y; what is found for one is found for both."""
        return Canonical(self.y, self.x, self._whitened, self._found, not self._turned)

    def _directions(self, side: str) -> Tensor:
        """Those of the rows ("left") or of the columns of T as it stands."""
        T, found = self._whitened, self._found
        if not {"left", "right"} & found.keys():
            narrow, A = ("left", T) if len(T) <= T.shape[1] else ("right", T.T)
            found[narrow], found["correlations"] = left_svd(A)
        if "left" not in found and side == "left":
            found["left"] = _other(T.T, found["right"], self.correlations)
        if "right" not in found and side == "right":
            found["right"] = _other(T, found["left"], self.correlations)
        return found[side]


def canonical(moments: Moments, x: str, y: str) -> Canonical:
    """The canonical correlations of two layers of the moments, worked out once for each pair."""
    if (x, y) not in moments.blocks and (y, x) in moments.blocks:
        return canonical(moments, y, x).transposed()
    return moments.cached_pair(x, y, "canonical", lambda: _decompose(moments, x, y))


def _decompose(moments: Moments, x: str, y: str) -> Canonical:
    X, Y = spectrum(moments, x), spectrum(moments, y)
    if x == y:
        same = torch.eye(X.rank, dtype=torch.float64, device=X.values.device)
        return Canonical(X, Y, same, {"left": same, "right": same, "correlations": torch.ones_like(X.values)})
    return Canonical(X, Y, whitened_cross(moments, x, y, X, Y, X.rank, Y.rank), {})


def _other(T: Tensor, U: Tensor, correlations: Tensor) -> Tensor:
    """V from U = T V diag(1/ρ); decomposed anew where some ρ are too small to divide by."""
    if bool(correlations[-1] > STEADY):
        return _matching(T.T, U, correlations)
    V: Tensor = torch.linalg.svd(T, full_matrices=False)[2].T
    return V.to(U)


def _matching(A: Tensor, U: Tensor, correlations: Tensor) -> Tensor:
    """A U diag(1/ρ), without what is too small to divide by."""
    steady = correlations > STEADY
    with fast_float32():
        turned = (A @ U.to(A)).to(U)
    return turned * (steady / correlations.clamp_min(STEADY)).to(U)
