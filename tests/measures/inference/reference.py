"""Intervals' parts written again from their definitions, in plain numpy. Shares no code with the package."""

import numpy as np
from scipy import stats

from ..data import autoregressive, normal


def speech(utterances=24, *, seed=0, phi=0.8, shared=2, p=5, q=4, strength=1.5, length=None):
    """Two related layers, and the lengths of their utterances."""
    random = np.random.default_rng(seed)
    lengths = random.integers(15, 60, utterances).tolist() if length is None else [length] * utterances
    whole = autoregressive(utterances, max(lengths), shared + p + q, phi, seed=seed, dtype=normal(1).dtype)
    whole = whole.view(utterances, max(lengths), -1).numpy()
    frames = np.concatenate([whole[u, :n] for u, n in enumerate(lengths)])
    z, e, f = frames[:, :shared], frames[:, shared : shared + p], frames[:, shared + p :]
    maps = np.random.default_rng(1).standard_normal((shared, p + q)) * strength
    return {"x": z @ maps[:, :p] + e + 3, "y": z @ maps[:, p:] + f}, lengths


def rows_of(lengths, block_of, chosen):
    """The frames of the utterances whose block is among the chosen."""
    return np.flatnonzero(np.repeat(np.isin(block_of, chosen), lengths))


def delete_m_jackknife(value, left, sizes):
    """Busing, Meijer & van der Leeden 1999, equations 5 and 6: estimate and variance."""
    n, g = sum(sizes), len(sizes)
    estimate = g * value - sum((1 - m / n) * t for m, t in zip(sizes, left, strict=True))
    total = 0.0
    for m, t in zip(sizes, left, strict=True):
        h = n / m
        pseudo = h * value - (h - 1) * t
        total += (pseudo - estimate) ** 2 / (h - 1)
    return estimate, total / g


def t_interval(centre, variance, blocks, level):
    reach = stats.t.ppf((1 + level) / 2, blocks - 1) * np.sqrt(variance)
    return centre - reach, centre + reach


def cka_of_copies(x, y, utterance, copy_of_block, block):
    """Cross-utterance CKA with n × n Grams, where pairs between copies of one block do not count."""
    same = (block[:, None] == block[None, :]) & (copy_of_block[:, None] != copy_of_block[None, :])
    between = ~same & (utterance[:, None] != utterance[None, :])
    x, y = x - x.mean(0), y - y.mean(0)

    def s(a, b):
        K, L = (np.where(between, g - g[between].mean(), 0) for g in (a @ a.T, b @ b.T))
        return (K * L).sum()

    return s(x, y) / np.sqrt(s(x, x) * s(y, y))


def debiased_of_copies(x, y, frame):
    """What debiased CKA's sum becomes where a copied frame counts as itself: Σ over pairs with the same frame."""
    x, y = x - x.mean(0), y - y.mean(0)
    n, same = len(x), frame[:, None] == frame[None, :]

    def s(a, b):
        K, L = a @ a.T, b @ b.T
        diagonal = (np.where(same, K, 0) * np.where(same, L, 0)).sum()
        return (K * L).sum() - n / (n - 2) * diagonal + np.trace(K) * np.trace(L) / ((n - 1) * (n - 2))

    return s(x, y) / np.sqrt(s(x, x) * s(y, y))


def linear_values(name, views, lengths, block_of, blocks):
    """A measure without each block, to first order: the slope of its definition on covariances, by differences."""
    x, y = (v - v.mean(0) for v in (views["x"], views["y"]))
    whole = x.T @ x, x.T @ y, y.T @ y
    value = CHANGED[name](*whole)
    theta = value(*whole)
    to, slope = (np.log, 1 / theta) if name in ("procrustes", "shape-distance") else (np.arctanh, 1 / (1 - theta**2))
    back = np.exp if to is np.log else np.tanh
    left = []
    for b in range(blocks):
        rows = rows_of(lengths, block_of, [c for c in range(blocks) if c != b])
        u, v = (w[rows] - w[rows].mean(0) for w in (views["x"], views["y"]))
        change = [a - c for a, c in zip((u.T @ u, u.T @ v, v.T @ v), whole, strict=True)]
        step = 1e-4
        up, down = (value(*(c + s * step * d for c, d in zip(whole, change, strict=True))) for s in (1, -1))
        left.append(back(to(theta) + slope * (up - down) / (2 * step)))
    return left


def _root(S, power):
    values, vectors = np.linalg.eigh(S)
    return (vectors * values**power) @ vectors.T


def _canonical(xx, xy, yy):
    return np.linalg.svd(_root(xx, -0.5) @ xy @ _root(yy, -0.5), full_matrices=False)


def _cca(*_):
    return lambda xx, xy, yy: _canonical(xx, xy, yy)[1].mean()


def _svcca(xx, _, yy):
    """With the components of all speech."""

    def components(S):
        values, vectors = np.linalg.eigh(S)
        share = np.cumsum(values[::-1]) / values.sum()
        return vectors[:, ::-1][:, : int(np.argmax(share >= 0.99)) + 1]

    P, Q = components(xx), components(yy)
    return lambda xx, xy, yy: _canonical(P.T @ xx @ P, P.T @ xy @ Q, Q.T @ yy @ Q)[1].mean()


def _pwcca(*_):
    def value(xx, xy, yy):
        U, rho, _ = _canonical(xx, xy, yy)
        alpha = np.abs(U.T @ _root(xx, 0.5)).sum(1)
        return (alpha * rho).sum() / alpha.sum()

    return value


def _cosine(xx, xy, yy):
    return np.linalg.svd(xy, compute_uv=False).sum() / np.sqrt(np.trace(xx) * np.trace(yy))


CHANGED = {
    "cca": _cca,
    "svcca": _svcca,
    "pwcca": _pwcca,
    "bures": lambda *_: _cosine,
    "procrustes": lambda *_: lambda *C: np.sqrt(2 - 2 * _cosine(*C)),
    "shape-distance": lambda *_: lambda *C: np.arccos(_cosine(*C)),
}
