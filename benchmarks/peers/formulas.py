"""The plain published formulas, in numpy: what one writes who has read the paper, for what no registry holds."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from benchmarks.peers.method import Layer, Method

FEATURES = "feature-space formula in numpy"
QR_SVD = "QR and SVD in numpy"
SVCCA_CODE = "google/svcca's algorithm in numpy"

Floats = npt.NDArray[Any]


def centred(x: Floats) -> Floats:
    return x - x.mean(0)


# CKA in feature space (Kornblith et al. 2019, section 3), in the type of the data.


def cka_layer(x: Layer) -> tuple[Layer, float]:
    x = centred(x)
    return x, float(np.linalg.norm(x.T @ x))


def cka_pair(x: tuple[Layer, float], y: tuple[Layer, float]) -> float:
    return float(np.linalg.norm(x[0].T @ y[0])) ** 2 / (x[1] * y[1])


def debiased_layer(x: Layer) -> tuple[Layer, Floats, float]:
    x = centred(x)
    rows = np.einsum("ij,ij->i", x, x).astype(np.float64)
    return x, rows, _debias(float(np.linalg.norm(x.T @ x)) ** 2, rows, rows)


def debiased_pair(x: tuple[Layer, Floats, float], y: tuple[Layer, Floats, float]) -> float:
    return _debias(float(np.linalg.norm(x[0].T @ y[0])) ** 2, x[1], y[1]) / float(np.sqrt(x[2] * y[2]))


def _debias(square: float, a: Floats, b: Floats) -> float:
    n = len(a)
    return square - n / (n - 2) * float(a @ b) + float(a.sum() * b.sum()) / ((n - 1) * (n - 2))


def cka_over_minibatches(x: Layer, y: Layer, size: int = 256) -> float:
    """What many scripts do: biased CKA of each minibatch of frames, averaged."""
    parts = range(0, len(x) - size + 1, size)
    return float(np.mean([cka_pair(cka_layer(x[s : s + size]), cka_layer(y[s : s + size])) for s in parts]))


# CCA by QR (Björck & Golub 1973), SVCCA (Raghu et al. 2017) and PWCCA (Morcos et al. 2018), in float64.


def cca_layer(x: Layer) -> tuple[Floats, Floats]:
    x = centred(x.astype(np.float64))
    return np.linalg.qr(x)[0], x


def cca_pair(x: tuple[Floats, Floats], y: tuple[Floats, Floats]) -> float:
    return float(np.linalg.svd(x[0].T @ y[0], compute_uv=False).mean())


def svcca_layer(x: Layer) -> Floats:
    u, s, _ = np.linalg.svd(centred(x.astype(np.float64)), full_matrices=False)
    return u[:, : int(np.searchsorted(np.cumsum(s**2) / np.sum(s**2), 0.99)) + 1]


def svcca_pair(x: Floats, y: Floats) -> float:
    return float(np.linalg.svd(x.T @ y, compute_uv=False).mean())


def pwcca_pair(x: tuple[Floats, Floats], y: tuple[Floats, Floats]) -> float:
    u, rho, _ = np.linalg.svd(x[0].T @ y[0], full_matrices=False)
    weights = np.abs((x[0] @ u).T @ x[1]).sum(1)
    return float(weights @ rho / weights.sum())


# Procrustes (Ding et al. 2021, Williams et al. 2021): the cosine, from which both distances follow.


def procrustes_layer(x: Layer) -> Layer:
    x = centred(x)
    return x / np.linalg.norm(x)


def procrustes_pair(x: Layer, y: Layer) -> float:
    return float(np.linalg.svd(x.T @ y, compute_uv=False).sum())


# The algorithm of the released code of SVCCA and PWCCA: covariances of both layers together, each scaled by its
# largest entry, the inverse square root of each through a pseudo-inverse, the SVD between them.


def svcca_code(x: Floats, y: Floats) -> dict[str, Floats]:
    if x.shape[1] >= x.shape[0]:
        raise AssertionError("input must be number of neurons by datapoints")
    p = x.shape[1]
    both = np.cov(x.T.astype(np.float64), y.T.astype(np.float64))
    xx, xy, yy = both[:p, :p], both[:p, p:], both[p:, p:]
    a, b = np.abs(xx).max(), np.abs(yy).max()
    left, right = (_root(np.linalg.pinv(m)) for m in (xx / a, yy / b))
    u, rho, v = np.linalg.svd(left @ (xy / np.sqrt(a * b)) @ right)
    return {"rho": np.abs(rho), "u": u, "v": v, "left": left, "right": right}


def _root(matrix: Floats) -> Floats:
    values, vectors = np.linalg.eigh(matrix)
    return vectors @ np.diag(np.sqrt(values)) @ vectors.T


def svcca_code_mean(x: Layer, y: Layer) -> float:
    return float(svcca_code(x, y)["rho"].mean())


def svcca_code_reduced(x: Layer, y: Layer) -> float:
    """The tutorial's SVCCA, with 99 % of the variance in place of a fixed number of directions."""
    return svcca_code_mean(*(_principal(z) for z in (x, y)))


def _principal(x: Layer) -> Floats:
    u, s, _ = np.linalg.svd(centred(x.astype(np.float64)), full_matrices=False)
    kept = int(np.searchsorted(np.cumsum(s**2) / np.sum(s**2), 0.99)) + 1
    return u[:, :kept] * s[:kept]


def svcca_code_weighted(x: Layer, y: Layer) -> float:
    """PWCCA as that code has it: directions without the whitening, means added again, weights by uncentred units."""
    found = svcca_code(x, y)
    X, Y = x.astype(np.float64).T, y.astype(np.float64).T
    if len(X) <= len(Y):
        mean = X.mean(1, keepdims=True)
        directions, units = found["u"].T @ (X - mean) + mean, X
    else:  # the first layer's units, chosen by the second layer's mask
        mask, mean = np.full(len(Y), True), Y.mean(1, keepdims=True)
        directions, units = found["v"] @ (X[mask] - mean) + mean, Y
    q, _ = np.linalg.qr(directions.T)
    weights = np.abs(q.T @ units.T).sum(1)
    return float(weights @ found["rho"] / weights.sum())


METHODS = [
    Method(FEATURES, "cka-biased", "‖XᵀY‖² of centred layers", "float32", prepare=cka_layer, pair=cka_pair),
    Method(
        FEATURES,
        "cka-debiased",
        "‖XᵀY‖² of centred layers, less the diagonal's part",
        "float32",
        prepare=debiased_layer,
        pair=debiased_pair,
    ),
    Method(QR_SVD, "cca", "one QR a layer, one SVD a pair", "float64", prepare=cca_layer, pair=cca_pair),
    Method(QR_SVD, "svcca", "one SVD a layer, one a pair", "float64", prepare=svcca_layer, pair=svcca_pair),
    Method(QR_SVD, "pwcca", "one QR a layer, one SVD a pair", "float64", prepare=cca_layer, pair=pwcca_pair),
    Method(SVCCA_CODE, "cca", "covariances, pseudo-inverses, SVD; a pair at a time", "float64", pair=svcca_code_mean),
    Method(SVCCA_CODE, "svcca", "the same, after an SVD of each layer", "float64", pair=svcca_code_reduced),
    Method(
        SVCCA_CODE,
        "pwcca",
        "the same, with weights",
        "float64",
        wrong="weighs with uncentred units and directions that were not whitened",
        pair=svcca_code_weighted,
    ),
    Method(
        "SVD in numpy",
        "bures",
        "nuclear norm of XᵀY, centred and of unit norm",
        "float32",
        prepare=procrustes_layer,
        pair=procrustes_pair,
    ),
]
