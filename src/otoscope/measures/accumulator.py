"""Moments that grow in place, for a pass over speech."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from otoscope.errors import MeasureError
from otoscope.measures.blocks import Pair, Sums
from otoscope.measures.checks import Array, as_tensor, check_lengths, check_values, check_views, resolution
from otoscope.measures.chunk import Chunk, add_chunk
from otoscope.measures.coordinates import FLOAT32, Coordinates, eigenvectors, float32_pays, principal_axes, unit_size
from otoscope.measures.moments import Moments

__all__ = ["MOST_FRAMES", "Accumulator"]

LEAST_FRAMES, MOST_FRAMES = 1024, 8192  # of a chunk: products run near the processor's peak from here on
SHARE = 0.3  # of the sums' own memory that a chunk may take, where it is above the least


@dataclass(slots=True)
class _Held:
    """Frames that wait to be summed."""

    frames: dict[str, Tensor]  # capacity × units, in float32 or float64
    capacity: int
    filled: int = 0
    lengths: list[int] = field(default_factory=list)
    eps: dict[str, float] = field(default_factory=dict)  # of the numbers as they came


class Accumulator:
    """Moments that grow in place: what a pass over speech adds to, frame by frame, without copies of the sums.

    Frames are gathered until there are enough for products near the processor's peak; what is asked for always counts
    all of them. Sums live on the device of the first update (on the CPU where that device has no float64).

    Arguments: as for `Moments.zero`, and

        coordinates: to count from (default: as the first frames suggest).
        turned: whether float32 frames are turned to their principal axes before they are summed, as the measures that
            whiten need; where not, directions of little variance are lost in float32, which is nothing to CKA.

    >>> import torch
    >>> total = Accumulator({"encoder.0": 4}, utterances=True)
    >>> for seed in range(3):
    ...     x = torch.randn(50, 4, generator=torch.Generator().manual_seed(seed))
    ...     total.update({"encoder.0": x}, [20, 30])
    >>> total.moments()
    Moments(widths={'encoder.0': 4}, pairs=(('encoder.0', 'encoder.0'),), frames=150, utterances=6, squares=3900)
    """

    def __init__(
        self,
        widths: Mapping[str, int],
        *,
        pairs: Sequence[Pair] | None = None,
        utterances: bool = True,
        mergeable: bool = True,
        coordinates: Coordinates | None = None,
        self_pairs: bool = True,
        turned: bool = True,
    ) -> None:
        zero = Moments.zero(widths, pairs=pairs, utterances=utterances, mergeable=mergeable, self_pairs=self_pairs)
        if coordinates is not None:
            zero = replace(zero, origins=coordinates.origins, axes=coordinates.axes)
        self._moments = zero
        self._held: _Held | None = None
        self._turned = turned
        self._placed = coordinates is not None

    @classmethod
    def of(cls, moments: Moments) -> Accumulator:
        """An accumulator that starts from these moments, which stay as they are."""
        made = cls.__new__(cls)
        made._moments, made._held, made._turned, made._placed = moments.copy(), None, True, False
        return made

    def moments(self) -> Moments:
        """An immutable copy of what was added so far."""
        self._flush()
        return self._moments.copy()

    def settle(self) -> None:
        """Sum what waits to be summed and give its room back, as where other blocks of speech are next."""
        self._flush()
        self._held = None

    def take(self) -> Moments:
        """What was added, without a copy: the accumulator gives its sums away and starts from nothing."""
        self._flush()
        taken, self._held, self._placed = self._moments, None, False
        kept = taken.utterances is not None
        self._moments = Moments.zero(taken.widths, pairs=taken.pairs, utterances=kept, mergeable=taken.mergeable)
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
        if not now.mergeable and now.utterances is not None and not self._placed:
            self._place(views)
        wide = any(resolution(x) < FLOAT32 for x in views.values())
        for start, stop, part in _parts(frames, counts, self._capacity()):
            self._hold({name: x[start:stop] for name, x in views.items()}, part, wide)

    def _place(self, views: Mapping[str, Array]) -> None:
        """Count from the mean of these frames, which must be all: without `spread` no sum by utterance can move."""
        now = self._moments
        if now.frames or self._held is not None:
            raise MeasureError(
                "moments made with mergeable=False count from the mean of their first update and take no second, which "
                "would move it; give all speech at once, or make them with mergeable=True"
            )
        at = Coordinates.of(views, now.pairs)
        self._moments = replace(now, origins=at.origins, axes=at.axes)

    def _capacity(self) -> int:
        """How many frames make a chunk."""
        blocks = self._moments.blocks.values()
        numbers = sum(b.cross.numel() * (2 if b.spread is not None else 1) for b in blocks)
        widths = self._moments.widths.values()
        by_memory = int(SHARE * 8 * numbers / (4 * sum(widths)))
        return max(min(max(by_memory, LEAST_FRAMES), MOST_FRAMES), 2 * max(widths))

    def _hold(self, views: Mapping[str, Array], lengths: Sequence[int] | None, wide: bool) -> None:
        """Copy frames in, once there is room for them."""
        widths, frames = self._moments.widths, len(next(iter(views.values())))
        eps = {name: resolution(x) for name, x in views.items()}
        held = self._held
        if held is not None and (held.filled + frames > held.capacity or held.eps != eps):
            self._flush()
            dtype = next(iter(held.frames.values())).dtype
            held = None if dtype != _dtype(wide) or frames > held.capacity else held
        if held is None:
            rows, device = max(frames, self._capacity()), self._device(views)
            room = {name: torch.empty(rows, p, dtype=_dtype(wide), device=device) for name, p in widths.items()}
            held = _Held(room, rows)
        for name, x in held.frames.items():
            x[held.filled : held.filled + frames] = as_tensor(views[name])
        held.filled += frames
        held.lengths += lengths or []
        held.eps = eps
        self._held = held

    def _flush(self) -> None:
        """Add the frames that wait to the sums."""
        held, now = self._held, self._moments
        if held is None or not held.filled:
            return
        frames = {name: x[: held.filled] for name, x in held.frames.items()}
        if _dtype_of(frames) == torch.float32 and not self._float32_pays(held.filled):
            frames = {name: x.double() for name, x in frames.items()}
        dtype, device = _dtype_of(frames), next(iter(frames.values())).device
        # Provisional means, in the precision of the frames, so that taking them off is exact nearby.
        origins = dict(now.origins) or {name: _mean(x) for name, x in frames.items()}
        layers = {name: block.to(device) for name, block in now.layers.items()}
        blocks = {pair: block.to(device) for pair, block in now.blocks.items()}
        sizes: dict[str, float] = {}
        for name, x in frames.items():
            x -= origins[name].to(x)
            sizes[name] = unit_size(x)
            x *= sizes[name]
        axes = dict(now.axes)
        if not axes:
            narrow = dtype == torch.float32 and self._turned
            axes = {name: principal_axes(x) if narrow else None for name, x in frames.items()}
        kept = now.utterances is not None
        arithmetic = _arithmetic(dtype, max(now.widths.values()))
        suits = add_chunk(
            Chunk(
                frames=frames,
                origins=origins,
                sizes=sizes,
                axes={name: None if a is None else a.to(device, dtype) for name, a in axes.items()},
                noise={name: (eps, max(min(eps, FLOAT32), arithmetic)) for name, eps in held.eps.items()},
                lengths=held.lengths if kept else None,
                before=now.frames,
            ),
            layers,
            blocks,
        )
        squares = sum(n * n for n in held.lengths)
        grown = (held.filled, len(held.lengths) if kept else None, squares)
        self._moments = replace(
            now, origins=origins, axes=axes, layers=layers, blocks=blocks, _cache={}, _pair_cache={}
        )
        self._grow(*grown)
        held.filled, held.lengths = 0, []
        if not suits:
            self._realign()

    def _realign(self) -> None:
        """Count on from the mean of all so far, along its principal axes."""
        now, axes, turns, shifts = self._moments, dict[str, Tensor | None](), dict[str, Tensor | None](), {}
        origins = dict(now.origins)
        for name, layer in now.layers.items():
            mine, to_units, block = now.axes[name], now.to_units(name), now.blocks[name, name]
            axes[name], turns[name], shifts[name] = mine, None, torch.zeros_like(layer.total)
            if mine is None or to_units is None:
                continue
            if now.mergeable:
                # Origins are float32 numbers, so that taking them off is exact nearby.
                origins[name] = now.mean(name).float().double()
                shifts[name] = (origins[name] - now.origins[name]) @ mine
            moved = block.moved(shifts[name], shifts[name], layer, layer, now.frames, now.squares)
            axes[name] = principal = eigenvectors(to_units.T @ moved.cross @ to_units)
            turns[name] = to_units @ principal
        for (x, y), block in now.blocks.items():
            moved = block.moved(shifts[x], shifts[y], now.layers[x], now.layers[y], now.frames, now.squares)
            block.set_(moved.turned(turns[x], turns[y]))
        for name, layer in now.layers.items():
            layer.set_(layer.moved(shifts[name], now.frames, now.squares).turned(turns[name]))
        self._moments = replace(now, origins=origins, axes=axes, _cache={}, _pair_cache={})

    def _float32_pays(self, frames: int) -> bool:
        now = self._moments
        if now.axes and self._turned:
            return all(axes is not None for axes in now.axes.values())
        return float32_pays(frames, now.widths, now.pairs)

    def add(self, other: Moments) -> None:
        """Add moments counted elsewhere, brought to this origin exactly."""
        self._flush()
        self._check_alike(other)
        if not other.frames:
            return
        if not self._moments.frames:
            self._moments = other.copy()
            return
        for mine, theirs in self._moved(other):
            mine.add_(theirs)
        self._grow(other.frames, other.utterances, other.squares)

    def remove(self, other: Moments) -> None:
        """Take away moments that were added before, such as one block of a jackknife."""
        self._flush()
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
        self._grow(-other.frames, fewer, -other.squares)

    def _moved(self, other: Moments) -> Iterator[tuple[Sums, Sums]]:
        """Each block of this and the other's, counted from this origin, along these axes."""
        now = self._moments
        turns: dict[str, Tensor | None] = {}
        shifts: dict[str, Tensor] = {}
        for name in now.widths:
            mine, theirs = now.axes[name], other.axes[name]
            shift = now.origins[name] - other.origins[name].to(now.origins[name].device)
            shifts[name] = shift if mine is None else shift @ mine
            back = other.to_units(name)
            if mine is None or back is None:
                turns[name] = mine if back is None else back
            else:
                turns[name] = None if theirs is not None and torch.equal(mine, theirs.to(mine)) else back @ mine
        if not now.mergeable and any(bool(m.any()) for m in shifts.values()):
            raise MeasureError(
                "moments counted from different origins cannot be joined where they were made with mergeable=False; "
                "make both with mergeable=True"
            )
        layers = {name: layer.to(shifts[name].device).turned(turns[name]) for name, layer in other.layers.items()}
        for name, layer in layers.items():
            yield now.layers[name], layer.moved(shifts[name], other.frames, other.squares)
        for (x, y), block in other.blocks.items():
            turned = block.to(shifts[x].device).turned(turns[x], turns[y])
            moved = turned.moved(shifts[x], shifts[y], layers[x], layers[y], other.frames, other.squares)
            yield now.blocks[x, y], moved

    def _check_alike(self, other: Moments) -> None:
        now = self._moments
        if dict(now.widths) != dict(other.widths) or set(now.pairs) != set(other.pairs):
            raise MeasureError(
                f"moments of different layers cannot be joined: {len(now.widths)} layers and {len(now.pairs)} pairs "
                f"here, {len(other.widths)} and {len(other.pairs)} there, first difference {_difference(now, other)}"
            )
        if now.mergeable != other.mergeable:
            raise MeasureError("moments that are mergeable cannot be joined to others that are not; make both alike")
        if (now.utterances is None) != (other.utterances is None):
            raise MeasureError(
                "moments with utterances kept apart cannot be joined to moments without; make both alike"
            )

    def _grow(self, frames: int, utterances: int | None, squares: int) -> None:
        now = self._moments
        total = None if now.utterances is None or utterances is None else now.utterances + utterances
        self._moments = replace(
            now,
            frames=now.frames + frames,
            utterances=total,
            squares=now.squares + squares,
            _cache={},
            _pair_cache={},
        )

    def _device(self, views: Mapping[str, Array]) -> torch.device:
        if self._moments.frames:
            return next(iter(self._moments.origins.values())).device
        first = next(iter(views.values()))
        if isinstance(first, torch.Tensor) and first.device.type != "mps":  # which has no float64
            return first.device
        return torch.device("cpu")


def _dtype(wide: bool) -> torch.dtype:
    return torch.float64 if wide else torch.float32


def _dtype_of(frames: Mapping[str, Tensor]) -> torch.dtype:
    return next(iter(frames.values())).dtype


def _mean(x: Tensor) -> Tensor:
    return (x[0] + (x - x[0]).mean(0)).double()


def _arithmetic(dtype: torch.dtype, p: int) -> float:
    """The rounding that a turn of the axes in this precision adds to a frame of p units, relative to the frame."""
    return float(torch.finfo(dtype).eps) * max(1.0, p / 64) ** 0.5 if dtype == torch.float32 else 0.0


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
