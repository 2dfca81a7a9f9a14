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
