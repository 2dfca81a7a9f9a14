"""Moments that grow in place, for a pass over speech."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch

from otoscope.errors import MeasureError
from otoscope.measures.blocks import LayerBlock, PairBlock, Sums
from otoscope.measures.checks import Array, check_lengths, check_values, check_views
from otoscope.measures.chunk import read_chunk, sum_pairs
from otoscope.measures.moments import Moments, Pair

__all__ = ["Accumulator"]

CHUNK_ENTRIES = 1 << 24  # float64 copies of all layers together hold about this many numbers at a time (128 MiB)


class Accumulator:
    """Moments that grow in place: what a pass over speech adds to, frame by frame, without copies.

    Sums live on the device of the first update (on the CPU where that device has no float64).

    Arguments: as for `Moments.zero`.

    >>> import torch
    >>> total = Accumulator({"encoder.0": 4}, utterances=True)
    >>> for seed in range(3):
    ...     x = torch.randn(50, 4, generator=torch.Generator().manual_seed(seed))
    ...     total.update({"encoder.0": x}, [20, 30])
    >>> total.moments()
    Moments(widths={'encoder.0': 4}, pairs=(('encoder.0', 'encoder.0'),), frames=150, utterances=6, squares=3900)
    """

    def __init__(
        self, widths: Mapping[str, int], *, pairs: Sequence[Pair] | None = None, utterances: bool = True
    ) -> None:
        self._moments = Moments.zero(widths, pairs=pairs, utterances=utterances)

    @classmethod
    def of(cls, moments: Moments) -> Accumulator:
        """An accumulator that starts from these moments, which stay as they are."""
        made = cls.__new__(cls)
        made._moments = moments.copy()
        return made

    def moments(self) -> Moments:
        """An immutable copy of what was added so far."""
        return self._moments.copy()

    def take(self) -> Moments:
        """What was added, without a copy: the accumulator gives its sums away and starts from nothing."""
        taken = self._moments
        self._moments = Moments.zero(taken.widths, pairs=taken.pairs, utterances=taken.utterances is not None)
        return taken

    def update(self, views: Mapping[str, Array], lengths: Sequence[int] | None = None) -> None:
        """Add whole utterances; arguments as for `Moments.update`. Nothing is added where it raises."""
        now = self._moments
        frames = check_views(views, now.widths)
        if now.utterances is None and lengths is not None:
            raise MeasureError("these moments do not keep utterances apart; make them with utterances=True")
        if now.utterances is not None and lengths is None:
            raise MeasureError(
                "these moments keep utterances apart and need their lengths; give them, or make the moments with "
                "utterances=False"
            )
        counts = None if lengths is None else check_lengths(lengths, frames)
        check_values(views)
        origins, device = dict(now.origins), self._device(views)
        layers = {name: block.to(device) for name, block in now.layers.items()}
        blocks = {pair: block.to(device) for pair, block in now.blocks.items()}
        for start, stop, part in _parts(frames, counts, CHUNK_ENTRIES // sum(now.widths.values())):
            chunk = read_chunk({name: x[start:stop] for name, x in views.items()}, part, origins, device)
            for name, layer in chunk.layers.items():
                layers[name].add_(layer)
            for pair, block in sum_pairs(chunk, now.pairs):
                blocks[pair].add_(block)
        squares = 0 if counts is None else sum(n * n for n in counts)
        self._grow(frames, None if counts is None else len(counts), squares, origins, layers, blocks)

    def add(self, other: Moments) -> None:
        """Add moments counted elsewhere, brought to this origin exactly."""
        self._check_alike(other)
        if not other.frames:
            return
        if not self._moments.frames:
            self._moments = other.copy()
            return
        now = self._moments
        for mine, theirs in self._moved(other):
            mine.add_(theirs)
        self._grow(other.frames, other.utterances, other.squares, now.origins, now.layers, now.blocks)

    def remove(self, other: Moments) -> None:
        """Take away moments that were added before, such as one block of a jackknife."""
        self._check_alike(other)
        now = self._moments
        if other.frames > now.frames or (other.utterances or 0) > (now.utterances or 0):
            raise MeasureError(
                f"cannot remove {other.frames} frames of {other.utterances} utterances from {now.frames} frames of "
                f"{now.utterances} utterances; remove only what was added before"
            )
        if not other.frames:
            return
        for mine, theirs in self._moved(other):
            mine.sub_(theirs)
        fewer = None if other.utterances is None else -other.utterances
        self._grow(-other.frames, fewer, -other.squares, now.origins, now.layers, now.blocks)

    def _moved(self, other: Moments) -> Iterator[tuple[Sums, Sums]]:
        """Each block of this and the other's, counted from this origin."""
        now = self._moments
        m = {name: now.origins[name].to(o.device) - o for name, o in other.origins.items()}
        for name, layer in other.layers.items():
            yield now.layers[name], layer.moved(m[name], other.frames, other.squares)
        for (x, y), block in other.blocks.items():
            X, Y = other.layers[x], other.layers[y]
            yield now.blocks[x, y], block.moved(m[x], m[y], X, Y, other.frames, other.squares)

    def _check_alike(self, other: Moments) -> None:
        now = self._moments
        if dict(now.widths) != dict(other.widths) or set(now.pairs) != set(other.pairs):
            raise MeasureError(
                f"moments of different layers cannot be joined: {len(now.widths)} layers and {len(now.pairs)} pairs "
                f"here, {len(other.widths)} and {len(other.pairs)} there, first difference {_difference(now, other)}"
            )
        if (now.utterances is None) != (other.utterances is None):
            raise MeasureError(
                "moments with utterances kept apart cannot be joined to moments without; make both alike"
            )

    def _grow(
        self,
        frames: int,
        utterances: int | None,
        squares: int,
        origins: Mapping[str, torch.Tensor],
        layers: Mapping[str, LayerBlock],
        blocks: Mapping[Pair, PairBlock],
    ) -> None:
        now = self._moments
        total = None if now.utterances is None or utterances is None else now.utterances + utterances
        self._moments = Moments(
            now.widths, now.pairs, now.frames + frames, total, now.squares + squares, origins, layers, blocks
        )

    def _device(self, views: Mapping[str, Array]) -> torch.device:
        if self._moments.frames:
            return next(iter(self._moments.origins.values())).device
        first = next(iter(views.values()))
        if isinstance(first, torch.Tensor) and first.device.type != "mps":  # which has no float64
            return first.device
        return torch.device("cpu")


def _difference(a: Moments, b: Moments) -> str:
    layers = sorted(set(a.widths.items()) ^ set(b.widths.items()))
    if layers:
        return f"layer '{layers[0][0]}' of {layers[0][1]} units"
    return f"pair {sorted(set(a.pairs) ^ set(b.pairs))[0]}"


def _parts(frames: int, lengths: Sequence[int] | None, most: int) -> Iterator[tuple[int, int, list[int] | None]]:
    """(start, stop, utterance lengths) of parts of at most so many frames, or of a single longer utterance."""
    most = max(1, most)
    if lengths is None:
        for start in range(0, frames, most):
            yield start, min(start + most, frames), None
        return
    start, held = 0, list[int]()
    for length in lengths:
        if held and sum(held) + length > most:
            yield start, start + sum(held), held
            start, held = start + sum(held), []
        held.append(length)
    yield start, start + sum(held), held
