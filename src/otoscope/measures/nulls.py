"""Null levels: what a measure reads on unrelated layers with independent frames."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import numpy.typing as npt

__all__ = ["mean_correlation", "permuted_cka"]


@lru_cache(maxsize=4096)
def mean_correlation(p: float, q: float, frames: float) -> float:
    """The expected mean canonical correlation of independent Gaussian layers of ranks p and q.

    Formula: ∫ √λ f(λ) dλ, f the limiting density of the squared correlations (Wachter 1980),
    f(λ) = √((λ − a)(b − λ)) / (2π γ_p λ (1 − λ)) for p ≤ q, with γ = rank / (frames − 1) and
    a, b = (√(γ_p (1 − γ_q)) ∓ √(γ_q (1 − γ_p)))². Its mean, E[ρ²] = max(p, q) / (frames − 1), is exact at any size.
    At a rank of 1, where R² has a Beta law, the value is exact; at others simulation agrees within 0.005. For frames
    that depend on each other give the effective number (`inference.effective_size`), which need not be whole.

    >>> round(mean_correlation(20, 20, 300), 3), round(mean_correlation(20, 20, 100_000), 3)
    (0.22, 0.012)
    """
    (p, q), n = sorted((p, q)), frames - 1
    if q >= n:
        return 1.0
    if p + q > n:
        # p + q − n directions coincide; the others lie as those that the two layers leave free, n − q and n − p.
        free = n - q
        return (p - free + free * mean_correlation(free, n - p, frames)) / p
    # The limiting law reads up to 0.01 high at small ranks. The excess is known at rank 1 and falls about as 1/√p.
    gap = q - p + 1
    return _limit(p / n, q / n) + (_rank_one(gap, n) - _limit(1 / n, gap / n)) / math.sqrt(p)


def _rank_one(q: float, n: float) -> float:
    """E[R] where R² ~ Beta(q/2, (n − q)/2)."""
    gamma = math.lgamma
    return math.exp(gamma((q + 1) / 2) - gamma(q / 2) + gamma(n / 2) - gamma((n + 1) / 2))


def _limit(gp: float, gq: float) -> float:
    """∫ √λ f(λ) dλ of the Wachter law, γ_p ≤ γ_q."""
    mid, half = gp + gq - 2 * gp * gq, 2 * math.sqrt(gp * gq * (1 - gp) * (1 - gq))
    # λ = mid + half cos θ takes the density's square-root ends out of the integral.
    nodes, weights = _quadrature()
    theta = (nodes + 1) * np.pi / 2
    x = mid + half * np.cos(theta)
    density = (half * np.sin(theta)) ** 2 / (2 * np.pi * gp * x * (1 - x))
    return float((weights * np.pi / 2 * density * np.sqrt(x)).sum())


@lru_cache(maxsize=1)
def _quadrature() -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Gauss–Legendre nodes and weights on [−1, 1]; finding them takes longer than everything done with them."""
    nodes, weights = np.polynomial.legendre.leggauss(512)
    return nodes, weights


def permuted_cka(traces: tuple[float, float], frames: int, norms: tuple[float, float]) -> float:
    """Biased CKA's exact mean over all permutations of one layer's frames.

    Formula: tr K tr L / ((n − 1) ‖K‖ ‖L‖), K and L the centred Gram matrices; `norms` are ‖K‖² and ‖L‖².
    """
    return traces[0] * traces[1] / ((frames - 1) * math.sqrt(norms[0]) * math.sqrt(norms[1]))
