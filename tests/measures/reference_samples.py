"""Measures on frames written again from their definitions, in numpy float64: no code of the package.

Whole n × n matrices, distances from differences, centring by least squares over all entries.
"""

import numpy as np
from scipy.stats import rankdata


def distances(x):
    x = np.asarray(x, dtype=np.float64)
    return np.sqrt(((x[:, None, :] - x[None, :, :]) ** 2).sum(2))


def median_distance(x):
    """numpy's median is the mean of the middle two; the package takes the lower."""
    d = np.sort(distances(x)[np.triu_indices(len(x), 1)])
    return d[(len(d) - 1) // 2]


def gram(x, kernel, parameter=None):
    x = np.asarray(x, dtype=np.float64)
    x = x - x.mean(0)
    if kernel == "linear":
        return x @ x.T
    if kernel == "rbf":
        return np.exp(-(distances(x) ** 2) / (2 * (parameter * median_distance(x)) ** 2))
    if kernel == "laplace":
        return np.exp(-distances(x) / (parameter * median_distance(x)))
    if kernel == "polynomial":
        return (x @ x.T / (x**2).sum(1).mean() + 1) ** parameter
    assert kernel == "distance"
    return distances(x)


def similarity_of(K, L, estimator, index=None):
    """⟨PK, PL⟩ / (‖PK‖ ‖PL‖), P as the estimator says."""
    PK, PL = (_projected(G, estimator, index) for G in (K, L))
    return (PK * PL).sum() / np.sqrt((PK * PK).sum() * (PL * PL).sum())


def _projected(K, estimator, index):
    n = len(K)
    if estimator == "biased":
        H = np.eye(n) - 1 / n
        return H @ K @ H
    kept = ~np.eye(n, dtype=bool) if estimator == "debiased" else index[:, None] != index[None, :]
    if estimator == "debiased":
        return _u_centred(K)
    # The entries kept, less what a regression on all row and column effects (by its normal equations) explains.
    K = np.where(kept, K, 0.0)
    effects = np.linalg.pinv(np.diag(kept.sum(1)) + kept) @ K.sum(1)
    return np.where(kept, K - effects[:, None] - effects, 0.0)


def _u_centred(K):
    """Székely & Rizzo 2014, definition 2."""
    n = len(K)
    K = K - np.diag(np.diag(K))
    rows = K.sum(0) / (n - 2)
    K = K - rows[:, None] - rows[None, :] + K.sum() / ((n - 1) * (n - 2))
    return K - np.diag(np.diag(K))


def mutual_knn(x, y, k, index=None, cosine=False):
    sets = []
    for z in (x, y):
        z = np.asarray(z, dtype=np.float64)
        if cosine:
            z = z - z.mean(0)
            z = z / np.linalg.norm(z, axis=1, keepdims=True)
        d = distances(z)
        d[np.eye(len(d), dtype=bool) if index is None else index[:, None] == index] = np.inf
        sets.append([set(row[:k]) for row in np.argsort(d, axis=1)])
    return np.mean([len(a & b) / k for a, b in zip(*sets, strict=True)])


def chance_of_neighbours(n, k, index=None):
    others = np.full(n, n - 1) if index is None else np.array([(index != u).sum() for u in index])
    return np.mean(k / others)


def pooled(x, index):
    x = np.asarray(x, dtype=np.float64)
    return np.stack([x[index == u].mean(0) for u in np.unique(index)])


def permutation_null_of_cosine(a, b):
    """The mean cosine of two dissimilarity matrices over all permutations of the items, by trying many."""
    random = np.random.default_rng(0)
    values = []
    for _ in range(20000):
        p = random.permutation(len(a))
        values.append((a * b[np.ix_(p, p)]).sum())
    return np.mean(values) / np.sqrt((a**2).sum() * (b**2).sum())


def spearman(a, b):
    return np.corrcoef(rankdata(a), rankdata(b))[0, 1]
