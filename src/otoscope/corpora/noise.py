"""Noise for synthetic speech: white, pink and babble, at a given ratio to the speech."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["add_noise", "babble", "pink"]


def add_noise(speech: NDArray[np.float32], noise: NDArray[np.float32], *, snr_db: float) -> NDArray[np.float32]:
    """Speech plus noise scaled to `snr_db` = 20·log10(rms(speech) / rms(noise)).

    Example:
        >>> speech, noise = np.ones(4, np.float32), np.full(4, 7.0, np.float32)
        >>> add_noise(speech, noise, snr_db=20).round(3).tolist()
        [1.100000023841858, 1.100000023841858, 1.100000023841858, 1.100000023841858]
    """
    wanted = _rms(speech) / 10 ** (snr_db / 20)
    return (speech + noise * (wanted / max(_rms(noise), 1e-12))).astype(np.float32)


def pink(rng: np.random.Generator, count: int) -> NDArray[np.float32]:
    """Noise whose power falls as 1/f, as much of a room's does."""
    spectrum = np.fft.rfft(rng.standard_normal(count))
    spectrum /= np.sqrt(np.maximum(np.arange(len(spectrum)), 1))
    return np.fft.irfft(spectrum, count).astype(np.float32)


def babble(voices: Sequence[NDArray[np.float32]], *, streams: int = 4) -> NDArray[np.float32]:
    """Several people at once: voices strung together into as many streams, all equally loud, and added up."""
    level = [v / max(_rms(v), 1e-12) for v in voices]
    strung = [np.concatenate(level[k::streams]) for k in range(min(streams, len(level)))]
    shortest = min(map(len, strung))
    mixed: NDArray[np.float32] = np.sum([s[:shortest] for s in strung], axis=0, dtype=np.float32)
    return mixed


def _rms(samples: NDArray[np.float32]) -> float:
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64)))) if len(samples) else 0.0
