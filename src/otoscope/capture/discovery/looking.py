"""One recogniser looked at by several forward passes: of more and less speech, of other text, of two utterances."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from otoscope.capture.discovery.axes import Axes, axes_of, changed
from otoscope.capture.discovery.padded import convolutions, frame_axes, padded_seconds
from otoscope.capture.discovery.passes import Pass, forward_pass
from otoscope.capture.discovery.timing import Timing, timed
from otoscope.capture.recogniser import TorchRecogniser
from otoscope.capture.types import SAMPLE_RATE_HZ, Layer, Seconds, Speech
from otoscope.capture.undisturbed import undisturbed

__all__ = ["Looked", "looked_at", "noise"]

LEAST_SECONDS = 2.0
"""Shorter speech is repeated to this length, for lengths are told apart on what is cut from it."""

SHORT_SECONDS = 3.0
"""No more is taken for comparing with the whole utterance."""


@dataclass(frozen=True)
class Looked:
    """What the passes showed: that of the whole utterance, and axes and timing of the submodules called once."""

    whole: Pass
    axes: Mapping[str, Axes]
    timing: Mapping[str, Timing | str]

    def layer(self, name: str, kind: str) -> Layer | str:
        """A submodule as a layer, or why it is none."""
        calls = self.whole.calls[name]
        if not calls:
            return "the forward pass does not call it"
        if len(calls) > 1:
            return f"one forward pass calls it {len(calls)} times"
        if calls[0].shape is None:
            return f"it puts out {calls[0].output}, expected a tensor of real numbers or a tuple with one first"
        axes = self.axes.get(name)
        if axes is None:
            return "its calls, or the number of its output's axes, differ from one forward pass to the next"
        if axes.problem or axes.steps is None or axes.units is None or axes.over is None:
            return axes.problem
        timing = self.timing[name]
        if isinstance(timing, str):
            return timing
        return Layer(name, axes.units, timing.stride, axes.steps, kind, timing.window, axes.over)


def noise(seconds: Seconds = LEAST_SECONDS) -> Speech:
    """Quiet noise with some words, for telling shapes where no speech is at hand."""
    audio = np.random.default_rng(0).standard_normal(round(seconds * SAMPLE_RATE_HZ)).astype(np.float32)
    return Speech(np.float32(0.05) * audio, "a b c d e f g h")


def looked_at(recogniser: TorchRecogniser, names: Sequence[str], speech: Speech) -> Looked:
    """Passes of this utterance and of pieces of it until axes, strides and windows of the submodules are told.

    The recogniser is left as it was: modes, buffers, hooks and generators. Raises whatever the recogniser raises on
    the whole utterance; lengths that it does not take are passed over.
    """
    times = -(-round(LEAST_SECONDS * SAMPLE_RATE_HZ) // max(1, len(speech.audio)))
    audio = np.tile(speech.audio, times)
    # Convolutions tell how many frames padded speech has, whether they were asked for or not.
    seen = list(dict.fromkeys([*names, *convolutions(recogniser.module)]))
    with undisturbed(recogniser.module):
        whole = forward_pass(recogniser, [Speech(audio, speech.text)], seen)
        return _looked(recogniser, seen, set(names), Speech(audio, speech.text), whole)


def _looked(recogniser: TorchRecogniser, names: Sequence[str], wanted: set[str], speech: Speech, whole: Pass) -> Looked:
    piece = Speech(speech.audio[: min(len(speech.audio) // 2, round(SHORT_SECONDS * SAMPLE_RATE_HZ))], speech.text)
    short = tried(recogniser, [piece], names)
    if short is None:  # it takes one length only
        piece, short = speech, whole
    two = tried(recogniser, [piece, piece], names)
    other = None if whole.tokens is None else tried(recogniser, [Speech(piece.audio, _other(piece.text))], names)
    shapes = {name: shape for name in names if (shape := whole.shape(name)) is not None}
    lengths = {name: changed(name, whole, short) for name in shapes}
    said: Seconds | None = getattr(recogniser, "padded_seconds", None)
    seconds = padded_seconds(said, [whole, short], recogniser.frame_shift)
    if seconds is not None:
        lengths = {**lengths, **frame_axes(recogniser.module, shapes)}
    axes: dict[str, Axes] = {}
    for name, shape in shapes.items():
        frames, batch = lengths[name], None if two is None else changed(name, short, two)
        tokens: set[int] | None = set()
        if other is not None and other.tokens != short.tokens:
            tokens = changed(name, short, other)
        if frames is not None and tokens is not None:
            # With one text for all lengths of speech, what the text changes is not counted as the speech's.
            axes[name] = axes_of(shape, batch=batch, frames=frames, tokens=tokens)
    told = {name: own for name, own in axes.items() if not own.problem and name in wanted}
    by_frames = {name: own.steps for name, own in told.items() if own.over == "frames" and own.steps is not None}
    by_tokens = {name: own.steps for name, own in told.items() if own.over == "tokens" and own.steps is not None}
    timing: dict[str, Timing | str] = {name: _by_token(name, axis, short, other) for name, axis in by_tokens.items()}
    if seconds is None:
        timing |= timed(recogniser, by_frames, speech, [whole, short])
    else:
        timing |= {name: _by_padding(seconds, shapes[name][axis]) for name, axis in by_frames.items()}
    return Looked(whole, axes, timing)


def tried(recogniser: TorchRecogniser, speech: Sequence[Speech], names: Sequence[str]) -> Pass | None:
    """A forward pass, None where the recogniser does not take such speech."""
    try:
        return forward_pass(recogniser, speech, names)
    except Exception:  # the recogniser's own, of any type: it may take one length, or one utterance, only
        return None


def _other(text: str) -> str:
    """Another text of the same words: half of them, or one twice."""
    words = text.split()
    return " ".join(words[: len(words) // 2] if len(words) > 1 else words * 2)


def _by_token(name: str, axis: int, short: Pass, other: Pass | None) -> Timing | str:
    """A decoder's layer has one step more for each token more."""
    seen = [(one.tokens, (one.shape(name) or ())[axis]) for one in (short, other) if one is not None]
    extra = {steps - (tokens or 0) for tokens, steps in seen}
    if len(extra) > 1:
        return "it has " + " and ".join(f"{steps} steps for {tokens} tokens" for tokens, steps in seen)
    return Timing(1.0)


def _by_padding(seconds: Seconds, frames: int) -> Timing | str:
    if not seconds:
        return "its inputs are padded to a length that is not known: the recogniser is to say `padded_seconds`"
    return Timing(seconds / frames)
