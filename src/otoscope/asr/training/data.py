"""From a planned update to padded tensors, made ahead of time in threads while the network computes."""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

import numpy as np
from torch import Tensor

from otoscope.asr.augment import spec_augment
from otoscope.asr.batching import batches_by_length
from otoscope.asr.features import FRAME_SHIFT_SECONDS
from otoscope.asr.store import FeatureStore, pad
from otoscope.asr.tokens import Tokens
from otoscope.asr.training.config import TrainingConfig
from otoscope.asr.training.distributed import Group
from otoscope.asr.training.plan import Plan, Planned, Spoken, frames_of

__all__ = ["Batch", "Part", "Preparation", "ahead"]

AHEAD = 3
"""Batches that wait ready for each thread that makes them: what bounds their memory."""

Task = TypeVar("Task")
Made = TypeVar("Made")


@dataclass(frozen=True)
class Part:
    """What goes through the network at once: padded `features` (batch, frames, bins), `lengths`, `targets`."""

    utterances: list[str]
    features: Tensor
    lengths: Tensor
    targets: list[list[int]]


@dataclass(frozen=True)
class Batch:
    """This process's share of one update, in `parts`; `utterances` and `speech_seconds` are those of all processes."""

    planned: Planned
    parts: list[Part]
    utterances: int
    speech_seconds: float

    @property
    def names(self) -> list[str]:
        """The utterances of all processes."""
        return [utterance for utterance, _ in self.planned.batch]


@dataclass(frozen=True)
class Preparation:
    """Makes the batches of one training; `batch` may be called in any thread and in any order.

    Masks are drawn for each utterance from (seed, step, utterance). They depend neither on how a batch is cut into
    parts nor on which process or thread an utterance falls to.
    """

    plan: Plan
    store: FeatureStore
    texts: Mapping[str, str]
    tokens: Tokens
    config: TrainingConfig
    seed: int
    group: Group

    def batch(self, planned: Planned) -> Batch:
        """Reads, masks and pads the features of one update."""
        whole = planned.batch
        parts = [self._part(planned.step, spoken) for spoken in self._cut(self._share(whole))]
        frames = sum(map(self.plan.frames, whole))
        return Batch(planned, parts, len(whole), frames * FRAME_SHIFT_SECONDS)

    def _share(self, batch: Sequence[Spoken]) -> list[Spoken]:
        """This process's share: every n-th by length, so that all processes have about as much to do."""
        if self.group.count == 1:
            return list(batch)
        by_length = sorted(batch, key=lambda spoken: (self.plan.frames(spoken), spoken))
        return by_length[self.group.rank :: self.group.count]

    def _cut(self, batch: list[Spoken]) -> list[list[Spoken]]:
        """Parts of at most `memory_seconds`, padding included."""
        if self.config.memory_seconds is None or not batch:
            return [batch] if batch else []
        speeds = dict(batch)
        lengths = {u: self.plan.frames((u, s)) for u, s in batch}
        parts = batches_by_length(lengths, frames=frames_of(self.config.memory_seconds))
        return [[(u, speeds[u]) for u in part] for part in parts]

    def _part(self, step: int, batch: list[Spoken]) -> Part:
        c = self.config
        masked = [
            spec_augment(
                self.store.get(utterance, speed),
                np.random.default_rng([self.seed, step, zlib.crc32(utterance.encode())]),
                frequency_masks=c.frequency_masks,
                frequency_width=c.frequency_width,
                time_masks=c.time_masks,
                time_width=c.time_width,
                time_share=c.time_share,
            )
            for utterance, speed in batch
        ]
        features, lengths = pad(masked)
        if self.group.device.type == "cuda":
            features = features.pin_memory()  # so that its copy to the GPU goes on beside the computing
        utterances = [utterance for utterance, _ in batch]
        return Part(utterances, features, lengths, [self.tokens.encode(self.texts[u]) for u in utterances])


def ahead(make: Callable[[Task], Made], tasks: Iterable[Task], *, workers: int) -> Generator[Made, None, None]:
    """`map(make, tasks)`, in order, made by `workers` threads before it is asked for; 0 makes each when it is.

    Threads, for most of the work is copying, which lets other threads run. At most `AHEAD` a thread are ready or in
    the making. An exception of `make` is raised where its result was due.

    >>> list(ahead(abs, [-1, 2, -3], workers=2))
    [1, 2, 3]
    """
    if workers == 0:
        yield from map(make, tasks)
        return
    left = iter(tasks)
    with ThreadPoolExecutor(workers, thread_name_prefix="batches") as pool:
        waiting: deque[Future[Made]] = deque(pool.submit(make, task) for task in islice(left, workers * AHEAD))
        try:
            while waiting:
                made = waiting.popleft().result()
                waiting.extend(pool.submit(make, task) for task in islice(left, 1))
                yield made
        finally:
            for future in waiting:
                future.cancel()
