"""Strides and windows of layers, exactly, from forward passes of as many lengths as it takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from otoscope.capture.discovery.padded import input_steps
from otoscope.capture.discovery.passes import Pass, forward_pass
from otoscope.capture.discovery.regular import Rule, Rules, rules, telling
from otoscope.capture.recogniser import TorchRecogniser
from otoscope.capture.types import SAMPLE_RATE_HZ, Seconds, Speech

__all__ = ["Timing", "timed"]

SHORTEST_SECONDS, LONGEST_SECONDS = 0.25, 1.25
"""Pieces between these tell lengths apart: short, to be quick."""

MOST_PASSES = 64
"""Passes of such pieces, no more."""


@dataclass(frozen=True)
class Timing:
    """Seconds from one step of a layer to the next, and the speech that a step needs where nothing is padded."""

    stride: Seconds
    window: Seconds = 0.0


def timed(
    recogniser: TorchRecogniser, layers: Mapping[str, int], speech: Speech, passes: Sequence[Pass]
) -> dict[str, Timing | str]:
    """Stride and window of each of these submodules, or why they cannot be told; `layers` has their time axes.

    `passes` are two of different lengths to begin with.
    """
    pieces = _Pieces(recogniser, layers, speech, passes)
    left = pieces.rules()
    for _ in range(MOST_PASSES):
        open_rules = [found for found in left.values() if found is not None and len(found) and found.one() is None]
        if not open_rules or not pieces.part(max(open_rules, key=len)):
            break
        left = pieces.rules()
    return {name: _timing(left[pieces.frames(name)], pieces, name) for name in layers}


class _Pieces:
    """Pieces of one utterance, and the frames that they gave."""

    def __init__(
        self, recogniser: TorchRecogniser, layers: Mapping[str, int], speech: Speech, passes: Sequence[Pass]
    ) -> None:
        self.recogniser, self.layers, self.speech, self.passes = recogniser, layers, speech, list(passes)
        per_second = 1 / recogniser.frame_shift
        self.lowest, self.highest = round(SHORTEST_SECONDS * per_second), round(LONGEST_SECONDS * per_second)
        # A front end may lose or add some steps at the edges: seen on the whole utterance, true of all lengths.
        self.extra = input_steps(passes)[0] - round(len(speech.audio) / SAMPLE_RATE_HZ * per_second)

    def frames(self, name: str) -> tuple[int, ...]:
        """A submodule's frames in every pass; 0 where it put out none."""
        shapes = [one.shape(name) for one in self.passes]
        return tuple(0 if shape is None else shape[self.layers[name]] for shape in shapes)

    def rules(self) -> dict[tuple[int, ...], Rules | None]:
        """What is left of the rules for each series of frames: submodules of one rate share it."""
        steps = input_steps(self.passes)
        return {
            frames: rules(list(zip(steps, frames, strict=True))) for frames in {self.frames(n) for n in self.layers}
        }

    def part(self, left: Rules) -> bool:
        """A further pass, of the length that parts these rules best. False where no length does."""
        while (steps := telling(left, self.lowest, self.highest)) is not None:
            samples = round((steps - self.extra) * self.recogniser.frame_shift * SAMPLE_RATE_HZ)
            piece = Speech(self.speech.audio[: self._nudged(samples, steps)], self.speech.text)
            try:
                self.passes.append(forward_pass(self.recogniser, [piece], list(self.layers)))
            except Exception:  # the recogniser's own, of any type: such short speech is not taken
                self.lowest = steps + 1
                continue
            return True
        return False

    def _nudged(self, samples: int, steps: int) -> int:
        """So many samples, or some more or less, that input steps are as many as was asked for."""
        for _ in range(4):
            batch = self.recogniser.prepare([Speech(self.speech.audio[:samples], self.speech.text)])
            short = steps - int(batch.lengths.max())
            if not short:
                break
            samples += round(short * self.recogniser.frame_shift * SAMPLE_RATE_HZ)
        return samples


def _timing(left: Rules | None, pieces: _Pieces, name: str) -> Timing | str:
    rule = left.one() if left is not None else None
    if rule is None:
        steps, frames = input_steps(pieces.passes), pieces.frames(name)
        seen = ", ".join(f"{n} for {s}" for s, n in sorted(set(zip(steps, frames, strict=True)))[:4])
        return f"its frames do not follow the input steps by a stride: {seen}"
    return _in_seconds(rule, pieces.recogniser.frame_shift)


def _in_seconds(rule: Rule, frame_shift: Seconds) -> Timing:
    return Timing(rule.stride * frame_shift, rule.window * frame_shift if rule.window > 1 else 0.0)
