"""What a section's recognisers hear: batches of whole utterances, and frames of every layer with their phones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from benchmarks.pretrained.models import IPA
from torch import Tensor

from otoscope.asr.batching import batches_by_length
from otoscope.capture import Layer, Recogniser, Speech, view_name, views_of
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


@dataclass(frozen=True)
class Frames:
    """Frames of every layer, (frames, units), with their phone (a number in CLASSES) and their speaker."""

    views: dict[str, Tensor]
    phones: Tensor
    speakers: list[str]

    def where(self, rows: Tensor) -> Frames:
        chosen = rows.nonzero()[:, 0].tolist()
        views = {name: x[rows] for name, x in self.views.items()}
        return Frames(views, self.phones[rows], [self.speakers[i] for i in chosen])


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


def numbered(names: Sequence[str]) -> Tensor:
    """Each name as a number."""
    numbers = {name: i for i, name in enumerate(sorted(set(names)))}
    return torch.tensor([numbers[name] for name in names])


def frames_of(recogniser: Recogniser, utterances: Sequence[Utterance], *, every: int = 1) -> Frames:
    """Every layer on these utterances, silence left out; of the frames that are left, one of `every`."""
    layers = list(recogniser.layers())
    parts = list(_parts(recogniser, layers, utterances, every))
    views = {layer.name: torch.cat([part.views[layer.name] for part in parts]) for layer in layers}
    return Frames(views, torch.cat([part.phones for part in parts]), [s for part in parts for s in part.speakers])


def _parts(
    recogniser: Recogniser, layers: Sequence[Layer], utterances: Sequence[Utterance], every: int
) -> Iterator[Frames]:
    batches = batches_of(utterances)
    prepared = (recogniser.prepare(heard(batch)) for batch in batches)
    coarsest = max(layers, key=lambda layer: layer.stride)
    for batch, (views, lengths) in zip(batches, views_of({"": recogniser}, prepared), strict=True):
        times = [centres(coarsest, n) for n in lengths]
        phones = torch.cat([phones_at(t, u.phones) for t, u in zip(times, batch, strict=True)])
        speakers = [u.speaker for u, n in zip(batch, lengths, strict=True) for _ in range(n)]
        kept = (phones >= 0).nonzero()[::every, 0]
        yield Frames(
            {layer.name: views[view_name("", layer.name)][kept].clone() for layer in layers},
            phones[kept],
            [speakers[i] for i in kept.tolist()],
        )
