"""Features of a corpus, computed once, kept in memory-mapped files that every training process shares."""

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
from safetensors import SafetensorError, safe_open
from torch import Tensor

from otoscope.asr.features import FRAME_SHIFT_SECONDS, MEL_BINS, log_mel
from otoscope.corpora import SAMPLE_RATE_HZ
from otoscope.errors import TrainingError
from otoscope.files import save_tensors

__all__ = ["FeatureStore", "ReadAudio", "at_speed", "pad"]

ReadAudio = Callable[[str], npt.NDArray[np.float32]]
"""Reads one utterance by id: mono float32 audio at 16 kHz."""

REVISION = 1
"""Raised whenever a change of the code changes the features: stores of another revision are not found."""

SHARD_UTTERANCES = 2_000
"""Utterances in one file of a store: what bounds the memory of building it."""


def at_speed(audio: npt.NDArray[np.float32], speed: float) -> npt.NDArray[np.float32]:
    """The audio played `speed` times as fast, pitch and all (Ko et al. 2015): resampled, then read at 16 kHz."""
    if speed == 1.0:
        return audio
    resampled: npt.NDArray[np.float32] = soxr.resample(audio, SAMPLE_RATE_HZ * speed, SAMPLE_RATE_HZ)
    return resampled


class FeatureStore:
    """Log-mel features by (utterance, speed), read lazily from a folder of safetensors files.

    `FeatureStore.build` names the folder after a hash of what is in it, so that a store is never read for another
    corpus and a second study of the same speech finds it ready.
    """

    def __init__(self, path: Path) -> None:
        """Opens the store at `path`. Raises TrainingError where a file of it cannot be read."""
        self.path = path
        self._files = {}
        for shard in sorted(path.glob("*.safetensors")):
            try:
                file = safe_open(str(shard), framework="pt")
            except (OSError, SafetensorError) as error:
                raise TrainingError(f"{shard} cannot be read ({error}): delete {path}, it is computed again") from error
            self._files.update(dict.fromkeys(file.keys(), file))

    def __reduce__(self) -> tuple[type[FeatureStore], tuple[Path]]:
        """Another process opens the files itself."""
        return FeatureStore, (self.path,)

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
        """The store in `folder` of the `wanted` (utterance id, speed) pairs, computed where it is not there yet.

        A build that was killed goes on after the last file that it finished.
        """
        pairs = sorted(wanted)
        recipe = [REVISION, corpus_hash, pairs, SAMPLE_RATE_HZ, FRAME_SHIFT_SECONDS, MEL_BINS]
        path = folder / f"features-{hashlib.sha256(json.dumps(recipe).encode()).hexdigest()[:16]}"
        if not path.is_dir():
            making = path.with_suffix(".partial")
            for first in range(0, len(pairs), SHARD_UTTERANCES):
                shard = making / f"{first:08d}.safetensors"
                if not shard.exists():
                    save_tensors(shard, _features(pairs[first : first + SHARD_UTTERANCES], read_audio, first, progress))
            os.replace(making, path)
        return cls(path)

    def get(self, utterance: str, speed: float = 1.0) -> Tensor:
        """The features (frames, 80) of one utterance at one speed. Raises KeyError where they were not stored."""
        key = f"{speed}/{utterance}"
        if key not in self._files:
            raise KeyError(f"no features for utterance {utterance!r} at speed {speed} in {self.path}")
        tensor: Tensor = self._files[key].get_tensor(key)
        return tensor

    def frames(self, utterance: str, speed: float = 1.0) -> int:
        """The number of frames of one utterance at one speed, without reading them."""
        key = f"{speed}/{utterance}"
        return int(self._files[key].get_slice(key).get_shape()[0])


def _features(
    pairs: Sequence[tuple[str, float]], read_audio: ReadAudio, before: int, progress: Callable[[int], None] | None
) -> dict[str, Tensor]:
    """The features of some pairs; the speeds of one utterance come one after another, so each is read once."""
    features: dict[str, Tensor] = {}
    last: tuple[str, npt.NDArray[np.float32]] | None = None
    for i, (utterance, speed) in enumerate(pairs):
        if last is None or last[0] != utterance:
            last = (utterance, read_audio(utterance))
        features[f"{speed}/{utterance}"] = log_mel(at_speed(last[1], speed)).contiguous()
        if progress is not None:
            progress(before + i + 1)
    return features


def pad(features: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Features of several utterances as one zero-padded batch (batch, frames, bins) and their lengths."""
    lengths = torch.tensor([len(f) for f in features])
    return torch.nn.utils.rnn.pad_sequence(list(features), batch_first=True), lengths
