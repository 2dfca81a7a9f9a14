"""The right answers in float64, from the definitions, for a few pairs of a case spread over all of them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from benchmarks.measures.data import Case, Data

__all__ = ["MEASURES", "checked_pairs", "values"]

Floats = npt.NDArray[np.float64]

MEASURES = ("cka-biased", "cka-debiased", "cka", "cca", "svcca", "pwcca", "bures", "procrustes")
CHECKED = 10


def checked_pairs(case: Case) -> list[tuple[int, int]]:
    """Up to ten pairs, evenly spread."""
    pairs = case.pairs
    step = max(1, len(pairs) // CHECKED)
    return pairs[::step][:CHECKED]


def values(case: Case, data: Data, frames: int | None = None) -> dict[str, list[float]]:
    """By measure, the value of each of the checked pairs; of the first `frames` frames where these are given."""
    found: dict[str, list[float]] = {name: [] for name in MEASURES}
    lengths = data.lengths if frames is None else None
    for i, j in checked_pairs(case):
        x, y = (_centred(z[:frames]) for z in (data.first[i], (data.second or data.first)[j]))
        found["cka-biased"].append(_ratio(x, y, _biased))
        found["cka-debiased"].append(_ratio(x, y, _debiased))
        found["cka"].append(_ratio(x, y, lambda a, b: _between(a, b, lengths)) if lengths else float("nan"))
        (ux, sx, _), (uy, sy, _) = (np.linalg.svd(z, full_matrices=False) for z in (x, y))
        w, rho, _ = np.linalg.svd(ux.T @ uy)
        found["cca"].append(float(rho.mean()))
        kept = [int(np.searchsorted(np.cumsum(s**2) / (s**2).sum(), 0.99)) + 1 for s in (sx, sy)]
        cut = ux[:, : kept[0]].T @ uy[:, : kept[1]]
        found["svcca"].append(float(np.linalg.svd(cut, compute_uv=False).mean()))
        weights = np.abs((ux @ w[:, : len(rho)]).T @ x).sum(1)
        found["pwcca"].append(float(weights @ rho / weights.sum()))
        nuclear = np.linalg.svd(x.T @ y, compute_uv=False).sum()
        cosine = float(nuclear / np.linalg.norm(x) / np.linalg.norm(y))
        found["bures"].append(cosine)
        found["procrustes"].append(float(np.sqrt(2 - 2 * cosine)))
    return found


def _centred(x: npt.NDArray[np.float32]) -> Floats:
    y = x.astype(np.float64)
    return y - y.mean(0)


def _ratio(x: Floats, y: Floats, inner: Callable[[Floats, Floats], float]) -> float:
    return float(inner(x, y) / np.sqrt(inner(x, x) * inner(y, y)))


def _biased(x: Floats, y: Floats) -> float:
    return float(np.linalg.norm(x.T @ y) ** 2)


def _debiased(x: Floats, y: Floats) -> float:
    n, a, b = len(x), (x**2).sum(1), (y**2).sum(1)
    return _biased(x, y) - n / (n - 2) * float(a @ b) + float(a.sum() * b.sum()) / ((n - 1) * (n - 2))


def _between(x: Floats, y: Floats, lengths: list[int]) -> float:
    """⟨K, L⟩ over frames of different utterances, each Gram matrix less the mean of these entries."""
    ends = np.cumsum(lengths)[:-1]
    parts = list(zip(np.split(x, ends), np.split(y, ends), strict=True))
    within = sum(float(np.linalg.norm(a.T @ b) ** 2) for a, b in parts)
    sums = [sum(float((part[k].sum(0) ** 2).sum()) for part in parts) for k in (0, 1)]
    entries = len(x) ** 2 - sum(n * n for n in lengths)
    return _biased(x, y) - within - sums[0] * sums[1] / entries
