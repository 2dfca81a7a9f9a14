"""What a section's recognisers hear: batches of whole utterances, and frames of every layer with their phones."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from benchmarks.pretrained.models import IPA
from torch import Tensor

from otoscope.asr.batching import batches_by_length
from otoscope.capture import Layer, Speech
from otoscope.corpora import Interval, Utterance, read_audio

BATCH_FRAMES = 6000  # a minute of speech
CLASSES = tuple(IPA)


def batches_of(utterances: Sequence[Utterance]) -> list[list[Utterance]]:
    """Utterances of similar length together, a minute of speech at a time."""
    by_id = {u.id: u for u in utterances}
    batches = batches_by_length({u.id: round(u.duration * 100) for u in utterances}, frames=BATCH_FRAMES)
    return [[by_id[name] for name in batch] for batch in batches]


def heard(utterances: Sequence[Utterance]) -> list[Speech]:
    return [Speech(read_audio(u), u.text) for u in utterances]


def centres(layer: Layer, count: int) -> Tensor:
    """The middle of what each frame hears, in seconds: front ends that pad are centred at its beginning."""
    return torch.arange(count) * layer.stride + layer.window / 2


def phones_at(seconds: Tensor, phones: Sequence[Interval]) -> Tensor:
    """The number of the phone that is spoken at each time; −1 for silence and noise.

    >>> phones_at(torch.tensor([0.05, 0.15, 0.25]), [Interval("SIL", 0.0, 0.1), Interval("AE", 0.1, 0.2)])
    tensor([-1,  1, -1])
    """
    found = torch.full((len(seconds),), -1)
    for phone in phones:
        if phone.label in CLASSES:
            found[(seconds >= phone.start) & (seconds < phone.end)] = CLASSES.index(phone.label)
    return found
