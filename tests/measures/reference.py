"""The measures written again from their definitions, with n × n Gram matrices and plain SVDs, in numpy float64.

Shares no code with the package. Slow and large on purpose: what it says is what the definitions say.
"""

import numpy as np


def centred(x):
    x = np.asarray(x, dtype=np.float64)
    return x - x.mean(0)


def cka(x, y, *, estimator, index=None):
    K, L = (centred(z) @ centred(z).T for z in (x, y))
    if estimator == "debiased":
        K, L = _u_centred(K), _u_centred(L)
    if estimator == "cross-utterance":
        between = index[:, None] != index[None, :]
        K, L = (np.where(between, G - G[between].mean(), 0) for G in (K, L))
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
