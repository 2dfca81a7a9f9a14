"""How a graph's tensors step through time: run on audio of several lengths, exact strides and windows are found."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from otoscope.capture.discovery.regular import rules, telling

__all__ = ["Steps", "find_steps"]

Shape = tuple[int, ...] | None
"""The axes of a tensor; None where it is none of real numbers."""

Shapes = Callable[[int, Sequence[str]], Mapping[str, Shape]]
"""One run on so many samples: the shapes of the named tensors."""

LENGTHS = (16_000, 26_403)
"""Samples of the first two runs: one second, and more by a number that is no multiple of usual strides."""

SHORTEST, LONGEST = 8_000, 48_000
"""Between these lie the samples of the other runs."""

MOST_RUNS = 60


@dataclass(frozen=True)
class Steps:
    """The axis of a tensor's frames, its units, and the samples from frame to frame and in the first one.

    Window 0 is for graphs that pad.
    """

    axis: int
    units: int
    stride: int
    window: int


@dataclass
class _Seen:
    axis: int
    units: int
    frames: list[tuple[int, int]] = field(default_factory=list)


def find_steps(shapes: Shapes, names: Sequence[str]) -> dict[str, Steps | str]:
    """The steps of each tensor, or why it has none.

    A tensor runs over frames if exactly one of its axes grows with the audio, by a fixed number of samples for each
    frame. The lengths that are tried are those that tell most rules apart, so that about ten runs make the stride and
    the window exact.
    """
    short, long = (shapes(n, names) for n in LENGTHS)
    found: dict[str, Steps | str] = {}
    seen: dict[str, _Seen] = {}
    for name in names:
        first, second = short[name], long[name]
        told = _grown(first, second)
        if isinstance(told, str):
            found[name] = told
            continue
        assert first is not None
        assert second is not None
        seen[name] = _Seen(told, _units(first, told), [(LENGTHS[0], first[told]), (LENGTHS[1], second[told])])
    for _ in range(MOST_RUNS):
        for name in [name for name in seen if name not in found]:
            done = _rule(seen[name])
            if done is not None:
                found[name] = done
        left = [name for name in seen if name not in found]
        if not left:
            break
        samples = telling(rules(seen[left[0]].frames), SHORTEST, LONGEST)
        assert samples is not None  # _rule has settled what cannot be told apart
        for name, shape in shapes(samples, left).items():
            if shape is None or _units(shape, seen[name].axis) != seen[name].units:
                found[name] = "its axes change their order with the length of the audio"
            else:
                seen[name].frames.append((samples, shape[seen[name].axis]))
    uneven = "its frames do not come at an even pace"
    return {name: found.get(name, uneven) for name in names}


def _grown(first: Shape, second: Shape) -> int | str:
    """The axis that grew, or why there is none."""
    if first is None or second is None or len(first) != len(second):
        return "it is no tensor of real numbers"
    grown = [axis for axis, (a, b) in enumerate(zip(first, second, strict=True)) if a != b]
    if not grown:
        return "none of its axes grows with the audio"
    if len(grown) > 1:
        return "more than one of its axes grows with the audio, as in attention maps"
    return grown[0]


def _units(shape: Sequence[int], axis: int) -> int:
    units = 1
    for n in (*shape[:axis], *shape[axis + 1 :]):
        units *= n
    return units


def _rule(seen: _Seen) -> Steps | str | None:
    """The steps once they are told, None while they are not."""
    if not any(frames for _, frames in seen.frames):
        return "it has no frames for half a second of audio and more"
    left = rules(seen.frames)
    if not len(left):
        return "its frames do not come at an even pace"
    one = left.one()
    if one is None and telling(left, SHORTEST, LONGEST) is None:
        # The rules that are left agree on everything that was and could be tried: the shortest window says least.
        one_stride, least = int(left.strides[0]), int(left.least[0])
        return Steps(seen.axis, seen.units, one_stride, max(0, least if least > 1 else 0))
    if one is None:
        return None
    return Steps(seen.axis, seen.units, one.stride, one.window if one.window > 1 else 0)
