"""The measures written again from their definitions, with n × n Gram matrices and plain SVDs, in numpy float64.

Shares no code with the package. Slow and large on purpose: what it says is what the definitions say.
"""

import numpy as np


def centred(x):
    x = np.asarray(x, dtype=np.float64)
    return x - x.mean(0)


def cka(x, y, *, estimator, index=None):
    return _cosine(_gram(x, estimator, index), _gram(y, estimator, index))


def partial_cka(x, y, given, *, estimator, index=None):
    """The cosine of the residuals of two Gram matrices, each regressed on the given one."""
    K, L, G = (_gram(z, estimator, index) for z in (x, y, given))
    return _cosine(*(H - (H * G).sum() / (G * G).sum() * G for H in (K, L)))


def pc_removed_cka(x, y, k, *, estimator, index=None):
    def without(z):
        u, s, vt = np.linalg.svd(centred(z), full_matrices=False)
        s[:k] = 0
        return (u * s) @ vt

    return cka(without(x), without(y), estimator=estimator, index=index)


def _gram(x, estimator, index):
    K = centred(x) @ centred(x).T
    if estimator == "debiased":
        return _u_centred(K)
    if estimator == "cross-utterance":
        between = index[:, None] != index[None, :]
        return np.where(between, K - K[between].mean(), 0)
    return K


def _cosine(K, L):
    return (K * L).sum() / np.sqrt((K * K).sum() * (L * L).sum())


def _u_centred(K):
    """Székely & Rizzo 2014, definition 2."""
    n = len(K)
    K = K - np.diag(np.diag(K))
    rows = K.sum(0) / (n - 2)
    K = K - rows[:, None] - rows[None, :] + K.sum() / ((n - 1) * (n - 2))
    return K - np.diag(np.diag(K))


def _basis(x, variance=None):
    u, s, _ = np.linalg.svd(centred(x), full_matrices=False)
    keep = int((s > s[0] * 1e-7).sum())
    if variance is not None:
        share = np.cumsum(s**2) / (s**2).sum()
        keep = min(keep, int(np.argmax(share >= variance * (1 - 1e-12))) + 1)
    return u[:, :keep]


def cca(x, y):
    return np.linalg.svd(_basis(x).T @ _basis(y), compute_uv=False).mean()


def svcca(x, y, variance=0.99):
    return np.linalg.svd(_basis(x, variance).T @ _basis(y, variance), compute_uv=False).mean()


def pwcca(x, y):
    bx = _basis(x)
    u, rho, _ = np.linalg.svd(bx.T @ _basis(y), full_matrices=False)
    variates = bx @ u
    alpha = np.abs(variates.T @ centred(x)).sum(1)
    return (alpha * rho).sum() / alpha.sum()


def cka_over_distinct_utterances(x, y, index):
    """The exact U-statistic: K_st L_st, K_st L_wz and K_st L_sw averaged over frames of distinct utterances."""
    X, Y = centred(x), centred(y)

    def hsic(A, B):
        K, L = A @ A.T, B @ B.T
        n = len(K)
        two = (index[:, None] != index[None, :]).astype(float)
        first = (two * K * L).sum() / two.sum()
        third = fourth = count3 = count4 = 0.0
        for s in range(n):
            for t in range(n):
                if index[s] == index[t]:
                    continue
                w = (index != index[s]) & (index != index[t])
                third += K[s, t] * L[s, w].sum()
                count3 += w.sum()
                rest = L[np.ix_(w, w)] * two[np.ix_(w, w)]
                fourth += K[s, t] * rest.sum()
                count4 += two[np.ix_(w, w)].sum()
        return first + fourth / count4 - 2 * third / count3

    return hsic(X, Y) / np.sqrt(hsic(X, X) * hsic(Y, Y))


def r2_cca(x, y):
    bx, by = _basis(x), _basis(y)
    return (np.linalg.svd(bx.T @ by, compute_uv=False) ** 2).sum() / min(bx.shape[1], by.shape[1])


def ridge_cca(x, y, kappa):
    """Layers of full rank. Canonical ridge correlations as roots of an eigenvalue problem, without square roots."""

    def ridged(z):
        S = centred(z).T @ centred(z)
        return S + kappa * np.trace(S) / len(S) * np.eye(len(S))

    def correlations(u, v):
        C = centred(u).T @ centred(v)
        squares = np.linalg.eigvals(np.linalg.solve(ridged(u), C) @ np.linalg.solve(ridged(v), C.T))
        return np.sqrt(np.sort(squares.real)[::-1].clip(0))

    k = min(x.shape[1], y.shape[1])
    own = [correlations(z, z)[:k].sum() for z in (x, y)]
    return correlations(x, y)[:k].sum() / np.sqrt(own[0] * own[1])


def held_out_cca(x, y, folds):
    """`folds` are the frames of each; directions from least squares onto the training variates."""
    x, y = (np.asarray(z, dtype=np.float64) for z in (x, y))
    total = 0.0
    for held in folds:
        train = np.setdiff1d(np.arange(len(x)), held)
        bx, by = _basis(x[train]), _basis(y[train])
        u, _, vt = np.linalg.svd(bx.T @ by, full_matrices=False)
        a = np.linalg.lstsq(centred(x[train]), bx @ u, rcond=None)[0]
        b = np.linalg.lstsq(centred(y[train]), by @ vt.T, rcond=None)[0]
        found = [np.corrcoef(x[held] @ a[:, i], y[held] @ b[:, i])[0, 1] for i in range(a.shape[1])]
        total += len(held) / len(x) * np.mean(found)
    return total


def procrustes(x, y):
    """The distance itself, after turning; layers padded with zeros to one width."""
    width = max(x.shape[1], y.shape[1])
    X, Y = (np.pad(centred(z), ((0, 0), (0, width - z.shape[1]))) for z in (x, y))
    X, Y = X / np.linalg.norm(X), Y / np.linalg.norm(Y)
    u, _, vt = np.linalg.svd(Y.T @ X)
    return np.linalg.norm(X - Y @ (u @ vt))


def shape_distance(x, y):
    """The angle between the turned layers, each a point on the unit sphere."""
    return 2 * np.arcsin(procrustes(x, y) / 2)


def bures(x, y):
    """From square roots of n × n Gram matrices."""

    def root(K):
        values, vectors = np.linalg.eigh((K + K.T) / 2)
        values[values < 1e-12 * values[-1]] = 0  # rounding, whose root would be large
        return (vectors * np.sqrt(values)) @ vectors.T

    K, L = (centred(z) @ centred(z).T for z in (x, y))
    return np.trace(root(root(K) @ L @ root(K))) / np.sqrt(np.trace(K) * np.trace(L))


def regression(x, y):
    X, Y = (np.column_stack([np.ones(len(z)), np.asarray(z, dtype=np.float64)]) for z in (x, y))
    residual = Y[:, 1:] - X @ np.linalg.lstsq(X, Y[:, 1:], rcond=None)[0]
    return 1 - (residual**2).sum() / (centred(y) ** 2).sum()


def paper_r(x, y):
    return np.corrcoef(np.ravel(x), np.ravel(y))[0, 1]


def describe(x, index=None):
    """(effective dimension, top share, mean share, anisotropy) from the covariance and all n × n cosines."""
    x = np.asarray(x, dtype=np.float64)
    S = np.cov(x.T)
    values = np.linalg.eigvalsh(S)
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    index = np.arange(len(x)) if index is None else index
    cosines = (unit @ unit.T)[index[:, None] != index[None, :]]
    mean_share = (x.mean(0) ** 2).sum() / (x**2).sum(1).mean()
    return np.trace(S) ** 2 / (S**2).sum(), values[-1] / values.sum(), mean_share, cosines.mean()
