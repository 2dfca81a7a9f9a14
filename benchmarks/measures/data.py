"""The layers that everything is timed on: speech-like, made from a seed, the same for every method."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["CASES", "QUICK", "Case", "Data", "make"]

Floats = npt.NDArray[np.float32]

SLOW = 0.9  # a frame's correlation with the one before it
SHARED = 0.8  # a layer's weight on the layer before it, against new features of its own
MASSIVE = (7, 10.0, 30.0)  # two units in each layer (this one and the next) with such a deviation, such a mean
FEW = 10_000  # frames below which utterances are shorter, so that there are enough of them


@dataclass(frozen=True)
class Case:
    """Widths of the layers of one model, or of two, and the number of frames."""

    name: str
    frames: int
    widths: tuple[int, ...]
    second: tuple[int, ...] = ()

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """The pairs of layers that are compared: within one model each pair once, else all across."""
        if self.second:
            return [(i, j) for i in range(len(self.widths)) for j in range(len(self.second))]
        return [(i, j) for i in range(len(self.widths)) for j in range(i + 1, len(self.widths))]

    @property
    def text(self) -> str:
        """The case in words."""
        layers = [f"{len(w)} layers × {w[0]} units" for w in (self.widths, self.second) if w]
        return f"{' against '.join(layers)}, {self.frames:,} frames, {len(self.pairs)} pairs"


CASES = {
    "A": Case("A", 20_000, (256,) * 12),
    "B": Case("B", 10_000, (768,) * 24),
    "C": Case("C", 20_000, (256,) * 12, (320,) * 12),
}
QUICK = {
    "A": Case("A", 2_000, (24,) * 4),
    "B": Case("B", 1_500, (48,) * 5),
    "C": Case("C", 2_000, (24,) * 3, (32,) * 3),
}


@dataclass(frozen=True)
class Data:
    """A case's layers (of the second model too, where there is one) and the utterances' lengths in frames."""

    first: list[Floats]
    second: list[Floats]
    lengths: list[int]


def make(case: Case, *, seed: int = 0) -> Data:
    """The case's data, from nothing but the seed."""
    rng = np.random.default_rng(seed)
    lengths = utterances(case.frames, rng)
    starts = set(np.cumsum([0, *lengths[:-1]]).tolist())
    source = slow(case.frames, 64, starts, rng)
    models = [model(source, widths, starts, rng) for widths in (case.widths, case.second)]
    return Data(*models, lengths)


def utterances(frames: int, rng: np.random.Generator) -> list[int]:
    """Lengths of 100 to 1,200 frames (less where there are few frames), most of them short, and a remainder."""
    shortest, longest = (100, 1200) if frames >= FEW else (frames // 150, frames // 15)
    lengths: list[int] = []
    while sum(lengths) < frames:
        lengths.append(int(np.exp(rng.uniform(np.log(shortest), np.log(longest)))))
    lengths[-1] -= sum(lengths) - frames
    return lengths


def slow(frames: int, units: int, starts: set[int], rng: np.random.Generator) -> Floats:
    """Stationary AR(1) sequences of variance 1, starting anew with each utterance."""
    x = rng.standard_normal((frames, units), dtype=np.float32)
    new = np.float32((1 - SLOW**2) ** 0.5)
    for t in range(frames):
        if t not in starts:
            x[t] = SLOW * x[t - 1] + new * x[t]
    return x


def model(source: Floats, widths: tuple[int, ...], starts: set[int], rng: np.random.Generator) -> list[Floats]:
    """Layers of a model: each a mixture of the one before it and of features of its own.

    Units differ in scale, have offsets, and two of them are massive.
    """
    layers: list[Floats] = []
    hidden = source
    for width in widths:
        mixed = hidden @ rng.standard_normal((hidden.shape[1], width), dtype=np.float32)
        mixed /= np.float32(hidden.shape[1] ** 0.5)
        own = slow(len(source), width, starts, rng)
        hidden = np.tanh(SHARED * mixed + (1 - SHARED**2) ** 0.5 * own)
        scale = np.exp(0.5 * rng.standard_normal(width, dtype=np.float32))
        offset = 2 * rng.standard_normal(width, dtype=np.float32)
        unit, deviation, mean = MASSIVE
        scale[unit : unit + 2] *= np.float32(deviation)
        offset[unit : unit + 2] += np.float32(mean)
        layers.append(np.ascontiguousarray(hidden * scale + offset, dtype=np.float32))
    return layers
