"""The plain published formulas, in numpy: what one writes who has read the paper, for what no registry holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from benchmarks.peers.method import Layer, Method

FEATURES = "feature-space formula in numpy"
COVARIANCES = "covariances, eigh and SVD in numpy"
SVDS = "SVDs in numpy"
SVCCA_CODE = "google/svcca's algorithm in numpy"
CAREFUL = ", each layer once"

Floats = npt.NDArray[Any]


def centred(x: Floats) -> Floats:
    return x - x.mean(0)


# CKA in feature space (Kornblith et al. 2019, section 3), in the type of the data.


def cka_layer(x: Layer) -> tuple[Layer, float]:
    x = centred(x)
    return x, float(np.linalg.norm(x.T @ x))


def cka_pair(x: tuple[Layer, float], y: tuple[Layer, float]) -> float:
    return float(np.linalg.norm(x[0].T @ y[0])) ** 2 / (x[1] * y[1])


def cka(x: Layer, y: Layer) -> float:
    return cka_pair(cka_layer(x), cka_layer(y))


def debiased_layer(x: Layer) -> tuple[Layer, Floats, float]:
    x = centred(x)
    rows = np.einsum("ij,ij->i", x, x).astype(np.float64)
    return x, rows, _debias(float(np.linalg.norm(x.T @ x)) ** 2, rows, rows)


def debiased_pair(x: tuple[Layer, Floats, float], y: tuple[Layer, Floats, float]) -> float:
    return _debias(float(np.linalg.norm(x[0].T @ y[0])) ** 2, x[1], y[1]) / float(np.sqrt(x[2] * y[2]))


def debiased_cka(x: Layer, y: Layer) -> float:
    return debiased_pair(debiased_layer(x), debiased_layer(y))


def _debias(square: float, a: Floats, b: Floats) -> float:
    n = len(a)
    return square - n / (n - 2) * float(a @ b) + float(a.sum() * b.sum()) / ((n - 1) * (n - 2))


def cka_over_minibatches(x: Layer, y: Layer, size: int = 256) -> float:
    """What many scripts do: biased CKA of each minibatch of frames, averaged."""
    parts = range(0, len(x) - size + 1, size)
    return float(np.mean([cka(x[s : s + size], y[s : s + size]) for s in parts]))


# CCA by the inverse square roots of the covariances, PWCCA (Morcos et al. 2018) with the weights of the definition,
# SVCCA (Raghu et al. 2017) by SVDs of the layers; in float64.


@dataclass(frozen=True)
class Whitened:
    """A centred layer, its covariance, its principal directions over their deviations, and their variances."""

    frames: Floats
    covariance: Floats
    directions: Floats
    variances: Floats


def whitened(x: Layer) -> Whitened:
    frames = centred(x.astype(np.float64))
    covariance = frames.T @ frames
    variances, vectors = np.linalg.eigh(covariance)
    variances, vectors = variances[::-1], vectors[:, ::-1]
    return Whitened(frames, covariance, vectors / np.sqrt(variances), variances)


def cca_pair(x: Whitened, y: Whitened) -> float:
    return float(np.linalg.svd(_cross(x, y), compute_uv=False).mean())


def _cross(x: Whitened, y: Whitened) -> Floats:
    return x.directions.T @ (x.frames.T @ y.frames) @ y.directions


def cca(x: Layer, y: Layer) -> float:
    return cca_pair(whitened(x), whitened(y))


def cca_by_qr(x: Layer, y: Layer) -> float:
    """Björck & Golub 1973."""
    q, r = (np.linalg.qr(centred(z.astype(np.float64)))[0] for z in (x, y))
    return float(np.linalg.svd(q.T @ r, compute_uv=False).mean())


def pwcca_pair(x: Whitened, y: Whitened) -> float:
    u, rho, _ = np.linalg.svd(_cross(x, y), full_matrices=False)
    weights = np.abs((x.directions @ u).T @ x.covariance).sum(1)
    return float(weights @ rho / weights.sum())


def pwcca(x: Layer, y: Layer) -> float:
    return pwcca_pair(whitened(x), whitened(y))


def components(variances: Floats) -> int:
    return int(np.searchsorted(np.cumsum(variances) / variances.sum(), 0.99)) + 1


def svcca_layer(x: Layer) -> Floats:
    u, s, _ = np.linalg.svd(centred(x.astype(np.float64)), full_matrices=False)
    return u[:, : components(s**2)]


def svcca(x: Layer, y: Layer) -> float:
    return float(np.linalg.svd(svcca_layer(x).T @ svcca_layer(y), compute_uv=False).mean())


def svcca_pair(x: Whitened, y: Whitened) -> float:
    cut = _cross(x, y)[: components(x.variances), : components(y.variances)]
    return float(np.linalg.svd(cut, compute_uv=False).mean())


# Procrustes (Ding et al. 2021, Williams et al. 2021): the cosine, from which both distances follow.


def procrustes_layer(x: Layer) -> Layer:
    x = centred(x)
    return x / np.linalg.norm(x)


def procrustes_pair(x: Layer, y: Layer) -> float:
    return float(np.linalg.svd(x.T @ y, compute_uv=False).sum())


def procrustes(x: Layer, y: Layer) -> float:
    return procrustes_pair(procrustes_layer(x), procrustes_layer(y))


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
    kept = components(s**2)
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


def _careful(name: str, measure: str, precision: str, prepare: Callable[[Layer], Any], pair: Any) -> Method:
    """The same formula in the hands of someone who compares many layers and does each layer's part once."""
    return Method(name + CAREFUL, measure, "the same", precision, prepare=prepare, pair=pair, careful=True)


METHODS = [
    Method(FEATURES, "cka-biased", "three products of centred layers", "float32", pair=cka),
    _careful(FEATURES, "cka-biased", "float32", cka_layer, cka_pair),
    Method(FEATURES, "cka-debiased", "the same, less the diagonal's part", "float32", pair=debiased_cka),
    _careful(FEATURES, "cka-debiased", "float32", debiased_layer, debiased_pair),
    Method(COVARIANCES, "cca", "three covariances, two eigh, an SVD", "float64", pair=cca),
    _careful(COVARIANCES, "cca", "float64", whitened, cca_pair),
    Method(SVDS, "svcca", "an SVD of each layer, one between them", "float64", pair=svcca),
    _careful(COVARIANCES, "svcca", "float64", whitened, svcca_pair),
    Method(COVARIANCES, "pwcca", "as CCA, with weights", "float64", pair=pwcca),
    _careful(COVARIANCES, "pwcca", "float64", whitened, pwcca_pair),
    Method(SVCCA_CODE, "cca", "covariances, pseudo-inverses, SVD", "float64", pair=svcca_code_mean),
    Method(SVCCA_CODE, "svcca", "the same, after an SVD of each layer", "float64", pair=svcca_code_reduced),
    Method(
        SVCCA_CODE,
        "pwcca",
        "the same, with weights",
        "float64",
        wrong="weighs with uncentred units and directions that were not whitened",
        pair=svcca_code_weighted,
    ),
    Method(SVDS, "bures", "nuclear norm of XᵀY, centred and of unit norm", "float32", pair=procrustes),
    _careful(SVDS, "bures", "float32", procrustes_layer, procrustes_pair),
]
