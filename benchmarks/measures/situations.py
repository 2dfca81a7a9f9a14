"""The cases that others get wrong: their data, from nothing but seeds, and the right answers where these are numbers.

Right answers are closed forms, or float64 values from the definitions. The tests and the table of differences look at
the same data.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]
Batch = tuple[Tensor, Tensor]


def normal(*shape: int, seed: int) -> Floats:
    return np.random.default_rng(seed).standard_normal(shape)


def orthogonal(n: int, seed: int) -> Floats:
    return np.linalg.qr(normal(n, n, seed=seed))[0]


def single(x: Floats) -> Singles:
    return np.ascontiguousarray(x, dtype=np.float32)


def related(frames: int, p: int, q: int, *, shared: int = 8, seed: int = 0) -> tuple[Floats, Floats]:
    """Layers that share some of what they hold."""
    z = normal(frames, shared, seed=seed)
    x = z @ normal(shared, p, seed=seed + 1) + normal(frames, p, seed=seed + 2)
    y = z @ normal(shared, q, seed=seed + 3) + 2 * normal(frames, q, seed=seed + 4)
    return x, y


# The definitions, in float64


def centred(x: npt.NDArray[np.floating]) -> Floats:
    z = np.asarray(x, dtype=np.float64)
    return z - z.mean(0)


def cka(x: npt.NDArray[np.floating], y: npt.NDArray[np.floating]) -> float:
    """Biased linear CKA, through Gram matrices."""
    K, L = (centred(z) @ centred(z).T for z in (x, y))
    return float((K * L).sum() / np.sqrt((K * K).sum() * (L * L).sum()))


def debiased_cka(x: npt.NDArray[np.floating], y: npt.NDArray[np.floating]) -> float:
    """With U-centred Gram matrices (Székely & Rizzo 2014)."""
    K, L = (_u_centred(centred(z) @ centred(z).T) for z in (x, y))
    return float((K * L).sum() / np.sqrt((K * K).sum() * (L * L).sum()))


def _u_centred(K: Floats) -> Floats:
    n = len(K)
    K = K - np.diag(np.diag(K))
    rows = K.sum(0) / (n - 2)
    K = K - rows[:, None] - rows[None, :] + K.sum() / ((n - 1) * (n - 2))
    return K - np.diag(np.diag(K))


def between_cka(x: npt.NDArray[np.floating], y: npt.NDArray[np.floating], lengths: Sequence[int]) -> float:
    """Cross-utterance CKA: entries of the Gram matrices between utterances only, less their mean."""
    index = np.repeat(np.arange(len(lengths)), lengths)
    between = index[:, None] != index[None, :]
    K, L = (centred(z) @ centred(z).T for z in (x, y))
    K, L = (np.where(between, G - G[between].mean(), 0) for G in (K, L))
    return float((K * L).sum() / np.sqrt((K * K).sum() * (L * L).sum()))


def bases(x: npt.NDArray[np.floating], variance: float | None = None) -> Floats:
    u, s, _ = np.linalg.svd(centred(x), full_matrices=False)
    kept = int((s > s[0] * 1e-7).sum())
    if variance is not None:
        kept = min(kept, int(np.argmax(np.cumsum(s**2) / (s**2).sum() >= variance)) + 1)
    return u[:, :kept]


def cca(x: npt.NDArray[np.floating], y: npt.NDArray[np.floating], variance: float | None = None) -> float:
    """Mean canonical correlation (SVCCA with a share of variance)."""
    return float(np.linalg.svd(bases(x, variance).T @ bases(y, variance), compute_uv=False).mean())


def pwcca(x: npt.NDArray[np.floating], y: npt.NDArray[np.floating]) -> float:
    """Weighed by x's units, centred."""
    base = bases(x)
    u, rho, _ = np.linalg.svd(base.T @ bases(y), full_matrices=False)
    weights = np.abs((base @ u).T @ centred(x)).sum(1)
    return float(weights @ rho / weights.sum())


def angle(x: npt.NDArray[np.floating], y: npt.NDArray[np.floating]) -> float:
    """Angular Procrustes distance (Williams et al. 2021)."""
    a, b = centred(x), centred(y)
    nuclear = np.linalg.svd(a.T @ b, compute_uv=False).sum()
    return float(np.arccos(nuclear / np.linalg.norm(a) / np.linalg.norm(b)))


# Layers


def fewer_frames_than_units() -> tuple[Singles, Singles]:
    """80 frames of 100 units, independent."""
    return single(normal(80, 100, seed=1)), single(normal(80, 100, seed=2))


def three_frames_a_unit() -> tuple[Singles, Singles]:
    """300 frames of 100 units, independent."""
    return single(normal(300, 100, seed=3)), single(normal(300, 100, seed=4))


def rotated_low_rank() -> tuple[Singles, Singles]:
    """Rank 20 in 40 units, and a rotated copy: the same in every sense."""
    x = normal(500, 20, seed=5) @ normal(20, 40, seed=6)
    return single(x), single(x @ orthogonal(40, seed=7))


def units_that_say_nothing() -> tuple[Singles, Singles, Singles]:
    """A layer with dead, constant and duplicated units, a second layer, and the first without these units."""
    x, y = related(500, 30, 30, seed=8)
    dead, constant = np.zeros((500, 3)), np.full((500, 3), 5.0)
    return single(np.hstack([x, dead, constant, x[:, :3]])), single(y), single(x)


def constant_layer() -> tuple[Singles, Singles]:
    """A layer, and one that is 3 throughout."""
    return single(normal(400, 20, seed=12)), np.full((400, 20), 3, dtype=np.float32)


def one_nan() -> tuple[Singles, Singles]:
    """One NaN in 500 frames."""
    x, y = (single(z) for z in related(500, 20, 20, seed=13))
    y[123, 4] = np.nan
    return x, y


def large_mean() -> tuple[Singles, Singles]:
    """Deviations of about 1 around 300, in float32."""
    x, y = related(500, 64, 64, shared=32, seed=17)
    return tuple(single(300 + z / z.std()) for z in (x, y))


def half_precision() -> tuple[npt.NDArray[np.float16], npt.NDArray[np.float16]]:
    """Deviations of about 20, in float16."""
    x, y = related(500, 256, 256, shared=32, seed=21)
    return tuple((20 * z / z.std()).astype(np.float16) for z in (x, y))


def ordinary() -> tuple[Singles, Singles]:
    """Layers with nothing unusual about them, of 24 units and 32."""
    x, y = related(600, 24, 32, seed=25)
    return single(x + 1), single(y - 2)


def steep() -> tuple[Singles, Singles]:
    """Layers whose variances fall steeply, with offsets: the cut at 99 % is where it matters."""
    x, y = related(800, 40, 40, seed=30)
    fall = 0.85 ** np.arange(40)
    return single(x @ orthogonal(40, seed=35) * fall + 3), single(y @ orthogonal(40, seed=36) * fall + 3)


def wide_and_narrow() -> tuple[Singles, Singles]:
    """A layer of 40 units, and one of 20 that is a linear map of it."""
    x = normal(600, 40, seed=40)
    return single(x), single(x @ normal(40, 20, seed=41))


def wider_first() -> tuple[Singles, Singles]:
    """A layer of 40 units, and one of 20 that shares some of what it holds."""
    x, y = related(600, 40, 20, seed=90)
    return single(x), single(y)


def rotated_few_frames() -> tuple[Singles, Singles]:
    """100 frames of 100 units and a rotated copy."""
    x = normal(100, 100, seed=42)
    return single(x), single(x @ orthogonal(100, seed=43))


def unrelated(draw: int) -> tuple[Singles, Singles]:
    """60 frames of 40 independent units, many times."""
    return single(normal(60, 40, seed=1000 + 2 * draw)), single(normal(60, 40, seed=1001 + 2 * draw))


def unrelated_with_offsets() -> tuple[Singles, Singles]:
    """200 frames of 10 independent units, with offsets."""
    return single(normal(200, 10, seed=44) + 2), single(normal(200, 10, seed=45) + 2)


def unrelated_wide() -> tuple[Singles, Singles]:
    """2,048 frames of 128 independent units."""
    return single(normal(2048, 128, seed=46)), single(normal(2048, 128, seed=47))


# Utterances


LENGTHS = (40, 25, 60, 35, 50, 30, 45, 20, 55, 40, 30, 50, 25, 60, 35, 45)
UNITS = 16


def utterance_factors() -> tuple[Singles, Singles]:
    """What the layers share is the same throughout an utterance (a speaker, a channel); the frames share nothing."""
    index = np.repeat(np.arange(len(LENGTHS)), LENGTHS)
    source = normal(len(LENGTHS), 6, seed=50)[index]
    n = sum(LENGTHS)
    x = source @ normal(6, UNITS, seed=51) + normal(n, UNITS, seed=52)
    y = source @ normal(6, UNITS, seed=53) + normal(n, UNITS, seed=54)
    return single(x), single(y)


def last_batch_differs() -> tuple[Singles, Singles]:
    """Alike in all utterances but those of the last batch, where the second layer is noise."""
    x, y = (normal(sum(LENGTHS), UNITS, seed=60) for _ in range(2))
    last = sum(LENGTHS[-4:])
    y[-last:] = normal(last, UNITS, seed=61)
    return single(x), single(y)


def unrelated_utterances() -> tuple[Singles, Singles]:
    """Layers that share nothing, with offsets, in utterances of unequal length."""
    n = sum(LENGTHS)
    return single(normal(n, UNITS, seed=70) + 1), single(normal(n, UNITS, seed=71) + 1)


# Models whose layers put out what they are given, for whatever hooks into them


class Slice(nn.Module):
    """A layer: some of the input's units."""

    def __init__(self, start: int, stop: int) -> None:
        super().__init__()
        self.start, self.stop = start, stop

    def forward(self, features: Tensor) -> Tensor:
        return features[..., self.start : self.stop]


class Slices(nn.Module):
    """Layers side by side in the input, by name; registered in one order and run in another where `run` says so."""

    def __init__(self, widths: dict[str, int], *, run: Sequence[str] | None = None) -> None:
        super().__init__()
        ends = np.cumsum(list(widths.values())).tolist()
        parts = {name: (end - p, end) for (name, p), end in zip(widths.items(), ends, strict=True)}
        self.order = list(run or widths)
        for name, (start, stop) in parts.items():
            self.add_module(name, Slice(start, stop))
        self.anchor = nn.Parameter(torch.zeros(1))  # some peers ask a model's parameters for its device

    def forward(self, features: Tensor) -> Tensor:
        for name in self.order:
            out = self.get_submodule(name)(features)
        return out


def batches(layers: Sequence[Singles], lengths: Sequence[int] = LENGTHS, size: int = 4) -> list[Batch]:
    """Layers side by side, as padded batches of utterances (utterances, frames, units) with their lengths."""
    whole = torch.from_numpy(np.hstack(list(layers)))
    utterances = torch.split(whole, list(lengths))
    made = []
    for start in range(0, len(lengths), size):
        part = utterances[start : start + size]
        padded = nn.utils.rnn.pad_sequence(list(part), batch_first=True)
        made.append((padded, torch.tensor([len(u) for u in part])))
    return made


def three_layers() -> tuple[Singles, Singles, Singles]:
    """p and q are alike, r is unlike both."""
    p = normal(sum(LENGTHS), UNITS, seed=80)
    q = p + 0.3 * normal(sum(LENGTHS), UNITS, seed=81)
    return single(p), single(q), single(normal(sum(LENGTHS), UNITS, seed=82))
