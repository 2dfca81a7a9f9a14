"""The watch of a study's runs: layers compared while they train, on some utterances of the probe set."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from otoscope.asr import Training, batches_by_length, pad
from otoscope.watching import SimilarityWatch

__all__ = ["MOST_WATCHED", "WATCH", "spread", "watched"]

WATCH = "watch"
"""The folder of the watch, in that of the run."""

MOST_WATCHED = 24
"""Utterances of the probe set: enough for layers to be told apart, few enough for a small share of the time."""

BATCH_FRAMES = 12_000


def spread(probe: Sequence[str]) -> tuple[str, ...]:
    """At most 24 of the probe set's utterances, spread evenly over it.

    >>> spread([f"u{i:02}" for i in range(48)])[:3]
    ('u00', 'u02', 'u04')
    """
    count = min(len(probe), MOST_WATCHED)
    return tuple(probe[i * len(probe) // count] for i in range(count))


@contextmanager
def watched(training: Training, utterances: Sequence[str]) -> Iterator[Training]:
    """The same training with a watch on these utterances; as it is where there are none.

    `watch/` in the run's folder gets the log, and TensorBoard's events where that extra is installed.
    """
    if not utterances:
        yield training
        return
    store, folder = training.store, training.folder / WATCH
    batches = batches_by_length({u: store.frames(u) for u in utterances}, frames=BATCH_FRAMES)
    board = folder / "tensorboard" if importlib.util.find_spec("tensorboard") else None
    watch = SimilarityWatch(folder, [pad([store.get(u) for u in batch]) for batch in batches], tensorboard=board)
    try:
        yield replace(training, watchers=(*training.watchers, watch))
    finally:
        watch.close()
