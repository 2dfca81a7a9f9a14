"""What a checkpoint's layers put out, kept from one unit of work to the next that looks at the same checkpoint.

A run's final state stands beside each of its checkpoints, and each checkpoint beside the next one: without this, every
checkpoint would hear the whole probe set three times.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor

from otoscope.asr import ReferenceRecogniser
from otoscope.capture import Batch, Layer, Seconds, Speech

__all__ = ["Remembering", "forget"]

MOST_BYTES = 1 << 30
"""What a process keeps: a checkpoint's outputs are some 150 MB for 600 s of speech. What was used last stays."""

_heard: OrderedDict[str, list[Mapping[str, Tensor]]] = OrderedDict()


class Remembering:
    """A checkpoint that is given the same batches in the same order whenever its `key` is the same.

    A batch that was heard before is answered from memory. Whoever gets outputs must leave them as they are.
    """

    def __init__(self, path: Path, key: str) -> None:
        """`key` stands for the weights and for the batches."""
        self._recogniser = ReferenceRecogniser.load(path)
        self._kept = _heard.setdefault(key, [])
        self._next = 0
        _heard.move_to_end(key)

    @property
    def frame_shift(self) -> Seconds:
        """Seconds from one input frame to the next."""
        return self._recogniser.frame_shift

    def prepare(self, speech: Sequence[Speech]) -> Batch:
        """Features of some utterances, which `outputs` is not for: it is given batches in a known order."""
        return self._recogniser.prepare(speech)

    def layers(self) -> Sequence[Layer]:
        """The layers of the checkpoint."""
        return self._recogniser.layers()

    def outputs(self, batch: Batch, layers: Sequence[str]) -> Mapping[str, Tensor]:
        """What all layers put out in the next batch."""
        if self._next == len(self._kept):
            self._kept.append(self._recogniser.outputs(batch, layers))
        self._next += 1
        return self._kept[self._next - 1]


def forget(most: int = MOST_BYTES) -> None:
    """Forgets the checkpoints that were used longest ago, until the others take at most so many bytes."""
    sizes = {key: sum(x.nbytes for outputs in kept for x in outputs.values()) for key, kept in _heard.items()}
    while _heard and sum(sizes[key] for key in _heard) > most:
        _heard.popitem(last=False)
