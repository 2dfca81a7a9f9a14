"""From samples to what a graph takes: its audio and length inputs, recognised by type, axes and name."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from otoscope.adapters.onnx.extra import needed
from otoscope.capture import SAMPLE_RATE_HZ
from otoscope.errors import CaptureError

if TYPE_CHECKING:
    from onnx import ModelProto

__all__ = ["AudioInputs", "Prepare", "audio_inputs", "speech_inputs"]

Feeds = Mapping[str, npt.NDArray[Any]]

Prepare = Callable[[npt.NDArray[np.float32]], Feeds]
"""From the samples of one utterance (samples,) to the graph's inputs by name, as a batch of one."""

AUDIO_WORDS = ("wav", "audio", "speech", "signal", "sound", "pcm", "sample", "input_values")
"""What inputs for audio are called, to choose one among several."""

SHORTEST_AXIS = 400
"""An axis fixed to fewer steps than this holds features or channels, not audio: 25 ms."""


@dataclass(frozen=True)
class Input:
    """One input of a graph: its numpy type, and its axes, `None` for those of any size."""

    name: str
    dtype: np.dtype[Any]
    axes: tuple[int | None, ...]

    def __str__(self) -> str:
        return f"{self.name} {self.dtype} ({', '.join('any' if n is None else str(n) for n in self.axes)})"


@dataclass(frozen=True)
class AudioInputs:
    """How a graph takes audio: callable, as `Prepare`.

    `fixed` counts the samples that the graph insists on, `None` where any number will do; what is shorter is filled up
    with zeros. `normalised` says that each utterance is brought to mean 0 and variance 1 first.
    """

    audio: Input
    lengths: Input | None
    mask: Input | None
    rate: Input | None
    fixed: int | None
    normalised: bool

    def __call__(self, samples: npt.NDArray[np.float32]) -> dict[str, npt.NDArray[Any]]:
        """The feeds of one utterance. Raises CaptureError for one longer than the graph takes."""
        if self.fixed is not None and len(samples) > self.fixed:
            raise CaptureError(
                f"the graph takes {self.fixed} samples ({self.fixed / SAMPLE_RATE_HZ:g} s) and an utterance has "
                f"{len(samples)}: leave longer ones out, or export the graph for any length"
            )
        x = samples.astype(np.float32)
        if self.normalised:
            x = (x - x.mean()) / np.sqrt(x.var() + 1e-7)
        padded = np.pad(x, (0, (self.fixed or len(x)) - len(x)))
        feeds: dict[str, npt.NDArray[Any]] = {
            self.audio.name: padded.astype(self.audio.dtype).reshape((1,) * (len(self.audio.axes) - 1) + (-1,))
        }
        if self.lengths is not None:
            # Relative lengths, as SpeechBrain counts them, are floats.
            true = len(x) if self.lengths.dtype.kind in "iu" else len(x) / len(padded)
            feeds[self.lengths.name] = np.full((1,) * len(self.lengths.axes), true, self.lengths.dtype)
        if self.mask is not None:
            feeds[self.mask.name] = (np.arange(len(padded)) < len(x)).astype(self.mask.dtype)[None]
        if self.rate is not None:
            feeds[self.rate.name] = np.full((1,) * len(self.rate.axes), SAMPLE_RATE_HZ, self.rate.dtype)
        return feeds


def takes(model: ModelProto) -> list[Input]:
    """What a graph is to be given: its inputs without those that have a default."""
    to_type = needed("onnx.helper").tensor_dtype_to_np_dtype
    own = {tensor.name for tensor in model.graph.initializer}
    return [
        Input(
            value.name,
            to_type(value.type.tensor_type.elem_type) if value.type.tensor_type.elem_type else np.dtype(object),
            tuple(
                dim.dim_value if dim.WhichOneof("value") == "dim_value" and dim.dim_value > 0 else None
                for dim in value.type.tensor_type.shape.dim
            ),
        )
        for value in model.graph.input
        if value.name not in own
    ]


def audio_inputs(model: ModelProto, path: Path) -> AudioInputs:
    """How this graph takes audio.

    A `preprocessor_config.json` of transformers beside it says whether utterances are normalised.

    Raises:
        CaptureError: no input, or more than one, that looks like audio, or inputs beside it that are neither lengths
            nor a mask nor a sample rate; audio at another rate.
    """
    inputs = takes(model)
    alike = [one for one in inputs if _is_audio(one)]
    named = [one for one in alike if any(word in one.name.lower() for word in AUDIO_WORDS)]
    chosen = named if len(named) == 1 else alike
    if len(chosen) != 1:
        raise _unclear("more than one of its inputs looks" if chosen else "no input of it looks", "like audio", inputs)
    audio = chosen[0]
    rest = [one for one in inputs if one is not audio]
    mask = _only(rest, lambda one: "mask" in one.name.lower() and len(one.axes) == 2)
    rate = _only(rest, lambda one: one.name.lower() in ("sr", "sample_rate", "sampling_rate"))
    lengths = _only(rest, lambda one: len(one.axes) <= 1 and "len" in one.name.lower())
    if lengths is None:
        lengths = _only(rest, lambda one: len(one.axes) == 1 and one.dtype.kind in "iu" and one is not rate)
    unknown = [one.name for one in rest if one not in (mask, rate, lengths)]
    if unknown:
        raise _unclear(f"what to give to {', '.join(unknown)}", "is not known", inputs)
    return AudioInputs(audio, lengths, mask, rate, fixed=audio.axes[-1], normalised=_normalised(path))


def speech_inputs(model: ModelProto, prepare: Prepare) -> list[str]:
    """The inputs that carry speech: the audio, or with a user's own `prepare` all real numbers in several axes."""
    if isinstance(prepare, AudioInputs):
        return [prepare.audio.name]
    inputs = takes(model)
    return [one.name for one in inputs if one.dtype.kind == "f" and len(one.axes) > 1] or [one.name for one in inputs]


def _is_audio(one: Input) -> bool:
    """(samples,), (batch, samples) or (batch, 1, samples)."""
    if one.dtype.kind != "f" or not 1 <= len(one.axes) <= 3:
        return False
    *before, samples = one.axes
    if any(size not in (None, 1) for size in before) or (len(one.axes) == 3 and before[1] != 1):
        return False
    return samples is None or samples >= SHORTEST_AXIS


def _only(inputs: Sequence[Input], fits: Callable[[Input], bool]) -> Input | None:
    found = [one for one in inputs if fits(one)]
    return found[0] if len(found) == 1 else None


def _unclear(what: str, matter: str, inputs: Sequence[Input]) -> CaptureError:
    return CaptureError(
        f"how this graph takes audio cannot be told: {what} {matter}. It takes {'; '.join(map(str, inputs))}. Say it: "
        "OnnxRecogniser(path, prepare=function), which makes these inputs, by name, of the samples of one utterance"
    )


def _normalised(path: Path) -> bool:
    beside = path.parent / "preprocessor_config.json"
    try:
        said = json.loads(beside.read_text(encoding="utf-8")) if beside.is_file() else {}
    except (OSError, ValueError) as error:
        raise CaptureError(f"{beside} cannot be read ({error}): mend it, or take it away") from error
    rate = said.get("sampling_rate", SAMPLE_RATE_HZ)
    if rate != SAMPLE_RATE_HZ:
        raise CaptureError(f"{beside} asks for audio at {rate} Hz, and recognisers are given {SAMPLE_RATE_HZ} Hz")
    return bool(said.get("do_normalize", False))
