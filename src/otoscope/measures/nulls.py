"""Null levels: what a measure reads on unrelated layers with independent frames."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

__all__ = ["mean_correlation", "permuted_cka"]


@lru_cache(maxsize=4096)
def mean_correlation(p: int, q: int, frames: int) -> float:
    """The expected mean canonical correlation of independent Gaussian layers of ranks p and q.

    Formula: ∫ √λ f(λ) dλ, f the limiting density of the squared correlations (Wachter 1980),
    f(λ) = √((λ − a)(b − λ)) / (2π γ_p λ (1 − λ)) for p ≤ q, with γ = rank / (frames − 1) and
    a, b = (√(γ_p (1 − γ_q)) ∓ √(γ_q (1 − γ_p)))². Its mean, E[ρ²] = max(p, q) / (frames − 1), is exact. With a
    rank of 1 the law of R² is a Beta law and the value is exact.

    >>> round(mean_correlation(20, 20, 300), 3), round(mean_correlation(20, 20, 100_000), 3)
    (0.221, 0.012)
    """
    (p, q), n = sorted((p, q)), frames - 1
    if q >= n:
        return 1.0
    if p == 1:
        gamma = math.lgamma
        return math.exp(gamma((q + 1) / 2) - gamma(q / 2) + gamma(n / 2) - gamma((n + 1) / 2))
    gp, gq = p / n, q / n
    mid, half = gp + gq - 2 * gp * gq, 2 * math.sqrt(gp * gq * (1 - gp) * (1 - gq))
    # λ = mid + half cos θ takes the density's square-root ends out of the integral.
    nodes, weights = np.polynomial.legendre.leggauss(512)
    theta = (nodes + 1) * np.pi / 2
    x = mid + half * np.cos(theta)
    density = (half * np.sin(theta)) ** 2 / (2 * np.pi * gp * x * (1 - x))
    return float((weights * np.pi / 2 * density * np.sqrt(x)).sum())


def permuted_cka(traces: tuple[float, float], frames: int, norms: tuple[float, float]) -> float:
    """Biased CKA's exact mean over all permutations of one layer's frames.

    Formula: tr K tr L / ((n − 1) ‖K‖ ‖L‖), K and L the centred Gram matrices; `norms` are ‖K‖² and ‖L‖².
    """
    return traces[0] * traces[1] / ((frames - 1) * math.sqrt(norms[0]) * math.sqrt(norms[1]))
