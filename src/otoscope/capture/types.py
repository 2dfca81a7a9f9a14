"""What capture needs to know of a recogniser and its layers: the only types that recognisers and corpora share."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol, Self, runtime_checkable

import numpy as np
import numpy.typing as npt
from torch import Tensor

__all__ = [
    "SAMPLE_RATE_HZ",
    "Batch",
    "Decodes",
    "Fed",
    "Finds",
    "Layer",
    "Prunes",
    "Recogniser",
    "Seconds",
    "Speech",
    "Tokenises",
    "Transcribes",
]

Seconds = float

SAMPLE_RATE_HZ = 16_000
"""Samples a second of all speech that recognisers are given."""


class Speech(NamedTuple):
    """One utterance as recognisers get it: 16 kHz samples (samples,) float32 in [−1, 1], and what was said."""

    audio: npt.NDArray[np.float32]
    text: str = ""


@dataclass(frozen=True, slots=True)
class Fed:
    """What a decoder was given for each utterance of a batch, so that its steps can be told apart.

    The decoder's output at position `start` + k of utterance i is the one that predicts token `tokens[i][k]`, a part of
    word `words[i][k]` of the transcript (counted from 0; −1 for what belongs to no word, such as the end). Positions
    before `start` are a prompt, the same for all utterances, and later ones padding: neither enters a comparison.
    """

    tokens: Sequence[Sequence[int]]
    words: Sequence[Sequence[int]]
    start: int = 0


class Batch(NamedTuple):
    """Several utterances as one recogniser takes them.

    `inputs` are the recogniser's own, such as padded features (batch, frames, bins); `lengths` (batch,) counts the true
    input frames of each; `fed` tells what a decoder was given, None where none runs.
    """

    inputs: Any
    lengths: Tensor
    fed: Fed | None = None


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer of a recogniser that can be looked at.

    `name` is the dotted module name; `units` its features; `stride` the seconds from one of its frames to the next;
    `time_axis` the axis of its output that runs over frames: 1 for (batch, frames, units), 2 for
    (batch, channels, frames[, frequencies]), where channels × frequencies become the units, 0 for
    (frames, batch, units).

    `window` is the speech that one frame needs, in seconds, for layers behind a front end without padding, such as
    wav2vec 2.0's 25 ms: then the last frame ends where the speech does. 0 stands for a front end that pads: then the
    last frame starts before the speech ends.

    `over` says what the layer's steps are: "frames" of speech, or "tokens" for a decoder's layer, whose stride is 1
    token.
    """

    name: str
    units: int
    stride: Seconds
    time_axis: int
    kind: str
    window: Seconds = 0.0
    over: Literal["frames", "tokens"] = "frames"

    def frames(self, lengths: Iterable[int], frame_shift: Seconds) -> list[int]:
        """True frames of utterances of so many input frames.

        Without a window ⌈length × frame_shift / stride⌉, else ⌊(length × frame_shift − window) / stride⌋ + 1, at
        least 0.

        >>> Layer("blocks.0", 256, stride=0.04, time_axis=1, kind="block").frames([100, 101], frame_shift=0.01)
        [25, 26]
        >>> Layer("layers.0", 768, 0.02, 1, "block", window=0.025).frames([16_000, 399], frame_shift=1 / 16_000)
        [49, 0]
        """
        if not self.window:
            return [math.ceil(round(n * frame_shift / self.stride, 6)) for n in lengths]
        return [max(0, math.floor(round((n * frame_shift - self.window) / self.stride, 6)) + 1) for n in lengths]


@runtime_checkable
class Recogniser(Protocol):
    """A recogniser as capture sees it: features from audio, layers by name, and what they put out.

    `TorchRecogniser` has `outputs` for torch modules. What a recogniser can do beside this are protocols of their own:
    `Transcribes`, `Finds`, and for those with a decoder `Decodes` and `Tokenises`.
    """

    @property
    def frame_shift(self) -> Seconds:
        """Seconds from one input frame to the next; 1/16000 where the input is audio."""
        ...

    def prepare(self, speech: Sequence[Speech]) -> Batch:
        """Utterances as the recogniser takes them, padded."""
        ...

    def layers(self) -> Sequence[Layer]:
        """The layers worth looking at, from input to output: one per block."""
        ...

    def outputs(self, batch: Batch, layers: Sequence[str]) -> Mapping[str, Tensor]:
        """One forward pass, and what the named layers put out in it, padding and all."""
        ...


@runtime_checkable
class Transcribes(Protocol):
    """A recogniser that writes what it hears."""

    def transcribe(self, speech: Sequence[Speech]) -> list[str]:
        """What it makes of some utterances."""
        ...


@runtime_checkable
class Finds(Protocol):
    """A recogniser in which layers are found by names or globs, those that `layers` leaves out too."""

    def find(self, patterns: Sequence[str]) -> Sequence[Layer]:
        """The layers that match any of the patterns. Raises CaptureError where one matches nothing."""
        ...


@runtime_checkable
class Decodes(Protocol):
    """A recogniser with a decoder whose layers run over tokens."""

    def decoder_layers(self) -> Sequence[Layer]:
        """One layer per block of the decoder; none where this model has no decoder."""
        ...


@runtime_checkable
class Tokenises(Protocol):
    """A recogniser whose decoder is fed tokens."""

    def tokenise(self, text: str) -> Sequence[int]:
        """The tokens of a transcript, without prompt and end."""
        ...


@runtime_checkable
class Prunes(Protocol):
    """A recogniser whose encoder can do without some of its blocks: what went into them is handed on."""

    def blocks(self) -> Mapping[str, str]:
        """The encoder's blocks by layer name, from input to output: "", or why one cannot be left out."""
        ...

    def without(self, blocks: Collection[str]) -> Self:
        """A smaller recogniser, of the same weights. Raises CaptureError for blocks that cannot be left out."""
        ...

    def write(self, folder: Path) -> Path:
        """Saves the recogniser so that `load_recogniser`, or the library it is of, loads what is returned."""
        ...
