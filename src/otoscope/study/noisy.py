"""Noise for probe sets: the same for an utterance every time, and at every level of it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from otoscope.corpora import Corpus, read_audio
from otoscope.corpora.noise import add_noise, babble, pink

__all__ = ["noisy_reader"]

REVISION = 1
"""Raised whenever a change of the code changes the noise that is added."""

VOICES, AT_ONCE = 40, 8
"""Utterances of the training split that babble is made of, and those that are drawn of them for an utterance."""

Audio = npt.NDArray[np.float32]


def noisy_reader(corpus: Corpus, noise: str, noise_db: float) -> Callable[[str], Audio]:
    """Reads utterances with noise added: "white", "pink" (power falls as 1/f), or "babble" of training voices.

    The noise is drawn from the utterance's id and the kind, so that other levels are the same noise, louder or softer.

    Arguments:
        corpus: where utterances are read from, and voices for babble.
        noise: the kind.
        noise_db: 20·log10(rms(speech) / rms(noise)), in dB.
    """
    by_id = {u.id: u for u in corpus}
    train = sorted(u.id for u in corpus.split("train"))
    voices = [train[i] for i in np.random.default_rng(0).permutation(len(train))[:VOICES]]
    voice = lru_cache(VOICES)(lambda name: read_audio(by_id[name]))

    def read(utterance: str) -> Audio:
        audio = read_audio(by_id[utterance])
        rng = np.random.default_rng(list(hashlib.sha256(f"{noise} {utterance}".encode()).digest()))
        if noise == "babble":
            mixed = babble([voice(voices[i]) for i in rng.permutation(len(voices))[:AT_ONCE]])
            added = np.resize(np.roll(mixed, rng.integers(len(mixed))), len(audio))
        else:
            added = pink(rng, len(audio)) if noise == "pink" else rng.standard_normal(len(audio)).astype(np.float32)
        return add_noise(audio, added, snr_db=noise_db)

    return read
