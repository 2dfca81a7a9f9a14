"""How a measure changes with the covariances that it is made of, to first order."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from otoscope.float32 import fast_float32

__all__ = ["STEADY", "Gradient", "of_correlations", "of_whitened"]

STEADY = 1e-6  # of the largest: smaller singular values cannot be divided by, and their directions are noise


@dataclass(frozen=True, slots=True)
class Gradient:
    """The derivatives of a value by X̃ᵀX̃ (p × p), X̃ᵀỸ (p × q) and ỸᵀỸ (q × q), along the axes of the moments.

    Where these sums change by a little, the value changes by Σ ⟨derivative, change⟩.
    """

    x: Tensor
    cross: Tensor
    y: Tensor

    def times(self, factor: float) -> Gradient:
        """That of a value which changes `factor` times as much."""
        return Gradient(self.x * factor, self.cross * factor, self.y * factor)


def of_correlations(Wx: Tensor, Wy: Tensor, U: Tensor, correlations: Tensor, V: Tensor, weights: Tensor) -> Gradient:
    """That of Σ w_i ρ_i for canonical correlations ρ_i, the weights w_i held as they are.

    ρ_i changes by u_iᵀ dT v_i, so that this is `of_whitened` with Z = U diag(w); arguments as there.
    """
    return of_whitened(Wx, Wy, U, correlations, V, U * weights.to(U))


def of_whitened(
    Wx: Tensor, Wy: Tensor, U: Tensor, correlations: Tensor, V: Tensor, Z: Tensor, of_x: Tensor | None = None
) -> Gradient:
    """That of a value which changes by Σ z_iᵀ dT v_i + ⟨of_x, E_x⟩.

    Formula: with whiteners W (Wᵀ X̃ᵀX̃ W = I) and T = W_xᵀ X̃ᵀỸ W_y = U diag(ρ) Vᵀ, a change of the covariances changes T
    by dT = W_xᵀ dC_xy W_y − ½ E_x T − ½ T E_y, E = Wᵀ dC W. So the derivative by C_xy is W_x Z (W_y V)ᵀ, by C_xx it is
    W_x (of_x − ½ Z diag(ρ) Uᵀ) W_xᵀ, and by C_yy −½ W_y V diag(ρ) UᵀZ (W_y V)ᵀ.

    `Wx` (p × r_x), `Wy` (q × r_y), `U` and `Z` (r_x × k), `correlations` (k), `V` (r_y × k), `of_x` (r_x × r_x).
    Correlations below 10⁻⁶ are left out.
    """
    kept = correlations > STEADY
    rho, U, V, Z = correlations[kept].to(U), U[:, kept], V[:, kept], Z[:, kept]
    with fast_float32():
        left, A, B = Wx.to(Z) @ Z, Wx.to(U) @ U, Wy.to(V) @ V
        by_x = -(left * (rho / 2)) @ A.T
        if of_x is not None:
            by_x += Wx.to(of_x) @ of_x @ Wx.to(of_x).T
        inside = (rho / 2)[:, None] * (U.T @ Z)
        return Gradient(by_x, left @ B.T, -(B @ inside.to(B)) @ B.T)
