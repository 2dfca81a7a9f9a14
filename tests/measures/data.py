"""Synthetic layers whose similarity is known."""

import numpy as np
import torch

from otoscope.measures import get, names


def normal(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def autoregressive(utterances, frames, units, phi, *, seed, dtype=torch.float32):
    """Stationary AR(1) sequences, independent between units and utterances: (utterances · frames) × units."""
    noise = torch.randn(frames, utterances, units, dtype=dtype, generator=torch.Generator().manual_seed(seed))
    noise[1:] *= (1 - phi**2) ** 0.5
    for t in range(1, frames):
        noise[t] += phi * noise[t - 1]
    return noise.transpose(0, 1).reshape(utterances * frames, units)


def related(frames, p, q, *, seed=0):
    """Two layers that share some of what they hold: well conditioned, no two canonical correlations equal."""
    z, e, f = normal(frames, 6, seed=seed), normal(frames, p, seed=seed + 1), normal(frames, q, seed=seed + 2)
    x = z @ normal(6, p, seed=seed + 3) + e
    y = z @ normal(6, q, seed=seed + 4) + 2 * f
    return x + 3, y - 1


def rotation(n, seed=0):
    return torch.linalg.qr(normal(n, n, seed=seed)).Q


def index_of(lengths):
    return np.repeat(np.arange(len(lengths)), lengths)


def from_moments():
    """The names of the measures of any two layers that follow from their moments, without a third or one width."""
    return [n for n in names() if get(n).source == "moments" and n not in ("cka-partial", "paper-cca", "paper-cka")]
