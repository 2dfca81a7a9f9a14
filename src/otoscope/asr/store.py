"""Features of a corpus, computed once, kept in one memory-mapped file that every training process shares."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soxr
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from otoscope.asr.features import FRAME_SHIFT_SECONDS, MEL_BINS, log_mel
from otoscope.corpora import SAMPLE_RATE_HZ

__all__ = ["FeatureStore", "ReadAudio", "at_speed"]

ReadAudio = Callable[[str], npt.NDArray[np.float32]]
"""Reads one utterance by id: mono float32 audio at 16 kHz."""


def at_speed(audio: npt.NDArray[np.float32], speed: float) -> npt.NDArray[np.float32]:
    """The audio played `speed` times as fast, pitch and all (Ko et al. 2015): resampled, then read at 16 kHz."""
    if speed == 1.0:
        return audio
    resampled: npt.NDArray[np.float32] = soxr.resample(audio, SAMPLE_RATE_HZ * speed, SAMPLE_RATE_HZ)
    return resampled


class FeatureStore:
    """Log-mel features by (utterance, speed), read lazily from one safetensors file.

    `FeatureStore.build` writes the file under a name that hashes what is in it, so that a store is never read for
    another corpus and a second study of the same speech finds it ready.
    """

    def __init__(self, path: Path) -> None:
        """Opens the store at `path`."""
        self.path = path
        self._file = safe_open(str(path), framework="pt")
        self._keys = set(self._file.keys())

    @classmethod
    def build(
        cls,
        folder: Path,
        wanted: Sequence[tuple[str, float]],
        read_audio: ReadAudio,
        *,
        corpus_hash: str,
        progress: Callable[[int], None] | None = None,
    ) -> FeatureStore:
        """The store in `folder` of the `wanted` (utterance id, speed) pairs, computed where it is not there yet."""
        recipe = [corpus_hash, sorted(wanted), SAMPLE_RATE_HZ, FRAME_SHIFT_SECONDS, MEL_BINS]
        name = hashlib.sha256(json.dumps(recipe).encode()).hexdigest()[:16]
        path = folder / f"features-{name}.safetensors"
        if not path.exists():
            folder.mkdir(parents=True, exist_ok=True)
            features: dict[str, Tensor] = {}
            last: tuple[str, npt.NDArray[np.float32]] | None = None
            for i, (utterance, speed) in enumerate(sorted(wanted)):
                if last is None or last[0] != utterance:
                    last = (utterance, read_audio(utterance))
                features[f"{speed}/{utterance}"] = log_mel(at_speed(last[1], speed)).contiguous()
                if progress is not None:
                    progress(i + 1)
            temporary = path.with_suffix(f".{os.getpid()}.tmp")
            save_file(features, str(temporary))
            os.replace(temporary, path)
        return cls(path)

    def get(self, utterance: str, speed: float = 1.0) -> Tensor:
        """The features (frames, 80) of one utterance at one speed. Raises KeyError where they were not stored."""
        key = f"{speed}/{utterance}"
        if key not in self._keys:
            raise KeyError(f"no features for utterance {utterance!r} at speed {speed} in {self.path}")
        tensor: Tensor = self._file.get_tensor(key)
        return tensor

    def frames(self, utterance: str, speed: float = 1.0) -> int:
        """The number of frames of one utterance at one speed, without reading them."""
        return int(self._file.get_slice(f"{speed}/{utterance}").get_shape()[0])


def pad(features: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Features of several utterances as one zero-padded batch (batch, frames, bins) and their lengths."""
    lengths = torch.tensor([len(f) for f in features])
    return torch.nn.utils.rnn.pad_sequence(list(features), batch_first=True), lengths
