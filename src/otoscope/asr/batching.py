"""Batches of utterances of similar length, so that little of a batch is padding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

__all__ = ["batches_by_length", "shuffled_batches"]


def batches_by_length(lengths: Mapping[str, int], *, frames: int) -> list[list[str]]:
    """Utterances sorted by length, cut into batches of at most `frames` frames, padding included.

    An utterance longer than `frames` is a batch by itself. `lengths` maps utterance ids to frames.

    >>> batches_by_length({"a": 5, "b": 9, "c": 4}, frames=10)
    [['c', 'a'], ['b']]
    """
    batches: list[list[str]] = []
    for utterance in sorted(lengths, key=lambda u: (lengths[u], u)):
        # Sorted upwards, so this utterance is the longest of its batch and sets the padded size.
        if batches and (len(batches[-1]) + 1) * lengths[utterance] <= frames:
            batches[-1].append(utterance)
        else:
            batches.append([utterance])
    return batches


def shuffled_batches(
    lengths: Mapping[str, int], *, frames: int, seed: Sequence[int], jitter: float = 0.15
) -> list[list[str]]:
    """Batches for one epoch of training: lengths are jittered before sorting, and the batches come in random order.

    The jitter (a standard deviation, as a share of the length) mixes the company an utterance keeps from epoch to
    epoch. The same `seed` gives the same batches.
    """
    random = np.random.default_rng(list(seed))
    ids = sorted(lengths)
    jittered = np.array([lengths[u] for u in ids]) * np.exp(jitter * random.standard_normal(len(ids)))
    batches: list[list[str]] = []
    longest = 0
    for i in np.argsort(jittered, kind="stable"):
        utterance = ids[i]
        longest = max(longest, lengths[utterance])
        if batches and (len(batches[-1]) + 1) * longest <= frames:
            batches[-1].append(utterance)
        else:
            batches.append([utterance])
            longest = lengths[utterance]
    return [batches[i] for i in random.permutation(len(batches))]
