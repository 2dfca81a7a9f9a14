"""Which utterances each update sees, and at which speed: drawn from (seed, epoch), the same in every process."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch

from otoscope.asr.batching import shuffled_batches
from otoscope.asr.features import FRAME_SHIFT_SECONDS
from otoscope.asr.models import STRIDE
from otoscope.asr.store import FeatureStore
from otoscope.asr.training.config import TrainingConfig
from otoscope.corpora import ctc_frames

__all__ = ["Plan", "Planned", "Spoken", "frames_of"]

Spoken = tuple[str, float]
"""An utterance and the speed that it is heard at."""


def frames_of(seconds: float) -> int:
    """The number of feature frames in this many seconds of speech."""
    return round(seconds / FRAME_SHIFT_SECONDS)


@dataclass(frozen=True)
class Planned:
    """One update: its `step`, counted from 1, its `epoch` from 0, the epochs `passed` after it, and its batch."""

    step: int
    epoch: int
    passed: float
    batch: list[Spoken]


class Plan:
    """The updates of a whole training; `total` is their number.

    An epoch's batches are drawn when they are needed, so that only one epoch is held, however many there are.
    """

    def __init__(self, store: FeatureStore, texts: Mapping[str, str], config: TrainingConfig, seed: int) -> None:
        """`texts` maps the training utterances to transcripts; `store` has them at every speed of `config`."""
        self._store, self._texts, self._config, self._seed = store, texts, config, seed
        self._frames: dict[Spoken, int] = {}
        self._sizes = [len(self._draw(epoch)) for epoch in range(config.epochs)]
        self.total = sum(self._sizes)

    def after(self, step: int) -> Iterator[Planned]:
        """The updates that follow the first `step`."""
        before = 0
        for epoch, size in enumerate(self._sizes):
            if step < before + size:
                batches = self._draw(epoch)
                for i in range(max(0, step - before), size):
                    yield Planned(before + i + 1, epoch, epoch + (i + 1) / size, batches[i])
            before += size

    def frames(self, spoken: Spoken) -> int:
        """The number of frames of an utterance at a speed."""
        if spoken not in self._frames:
            self._frames[spoken] = self._store.frames(*spoken)
        return self._frames[spoken]

    def _draw(self, epoch: int) -> list[list[Spoken]]:
        """The batches of one epoch: each utterance once, at a speed drawn for this epoch."""
        draw = torch.Generator().manual_seed(self._seed * 1_000_003 + epoch)
        speeds = self._config.speeds
        choice = torch.randint(len(speeds), (len(self._texts),), generator=draw).tolist()
        pairs: dict[str, float] = {}
        for (utterance, text), c in zip(self._texts.items(), choice, strict=True):
            speed = speeds[c]
            if self.frames((utterance, speed)) < STRIDE * ctc_frames(text):
                speed = min(speeds)  # said too fast for its transcript at the speed drawn
            pairs[utterance] = speed
        lengths = {u: self.frames((u, s)) for u, s in pairs.items()}
        frames = frames_of(self._config.batch_seconds)
        batches = shuffled_batches(lengths, frames=frames, seed=(self._seed, epoch))
        return [[(u, pairs[u]) for u in batch] for batch in batches]
