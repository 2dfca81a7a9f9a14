"""The frames themselves, for measures that no sums of fixed size can carry."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

import numpy as np
import torch

from otoscope.errors import MeasureError
from otoscope.measures.checks import Array, Utterances, check_values, check_views, group_utterances

__all__ = ["Samples", "lengths_to_index"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """The frames of named layers, utterance after utterance; immutable.

    Use it for measures that compare frames with frames (kernels, neighbours, distances) and so cannot be worked out
    from `Moments`. Memory is that of the activations: nothing is copied unless utterances have to be brought
    together, so leave the arrays alone while the samples are in use.

    Attributes:
        views: layer name to frames × units, in the floating type in which they came.
        lengths: each utterance's number of frames, or `None` where utterances are not known.

    >>> import torch
    >>> x = torch.randn(60, 4, generator=torch.Generator().manual_seed(0))
    >>> samples = Samples.of({"a": x, "b": x.tanh()}, utterances=[20, 30, 10])
    >>> samples
    Samples(lengths=(20, 30, 10))
    >>> samples.frames, samples.utterances, samples.widths
    (60, 3, {'a': 4, 'b': 4})
    >>> samples.subset(50).lengths
    (30, 10)
    """

    views: Mapping[str, torch.Tensor] = field(repr=False)
    lengths: tuple[int, ...] | None
    _cache: dict[Hashable, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, views: Mapping[str, Array], *, utterances: Utterances | None = None) -> Samples:
        """The samples of whole layers.

        Arguments:
            views: layer name to frames × units, numpy or torch, any floating type, all with the same frames.
            utterances: each frame's utterance index, in any order, or the list of lengths; `None`: not known.
        """
        frames = check_views(views)
        order, lengths = (None, None) if utterances is None else group_utterances(utterances, frames)
        check_values(views)
        tensors = {name: _tensor(x) for name, x in views.items()}
        if order is not None:
            tensors = {name: x[torch.from_numpy(order).to(x.device)] for name, x in tensors.items()}
        return cls(tensors, None if lengths is None else tuple(lengths))

    @property
    def frames(self) -> int:
        """The number of frames."""
        return next(iter(self.views.values())).shape[0]

    @property
    def utterances(self) -> int | None:
        """The number of utterances, `None` where they are not known."""
        return None if self.lengths is None else len(self.lengths)

    @property
    def widths(self) -> dict[str, int]:
        """Units by layer name."""
        return {name: x.shape[1] for name, x in self.views.items()}

    @property
    def names(self) -> tuple[str, ...]:
        """The layers' names."""
        return tuple(self.views)

    def view(self, name: str) -> torch.Tensor:
        """A layer's frames × units."""
        if name not in self.views:
            raise MeasureError(f"no layer '{name}' in the samples; there are {', '.join(self.views)}")
        return self.views[name]

    def has_pair(self, x: str, y: str) -> bool:
        """Whether both layers are here: all their pairs can be measured then."""
        return x in self.views and y in self.views

    def cached(self, key: Hashable, make: Callable[[], T]) -> T:
        """What is worked out once for these samples, e.g. a matrix for all pairs, and shared by measures."""
        if key not in self._cache:
            self._cache[key] = make()
        return cast(T, self._cache[key])

    def subset(self, max_frames: int, seed: int = 0) -> Samples:
        """At most so many of these frames: whole utterances spread evenly over all, for measures that cost n².

        The utterances are cut into as many runs of equal number as fit, and one is drawn from each; where utterances
        are not known, frames are drawn in this way. `frames` and `utterances` of what comes back say how many it has.
        The same call on the same samples gives the same object, so that what is cached in it is shared.

        Arguments:
            max_frames: the most frames to keep; samples of no more are returned as they are.
            seed: of the draws.
        """
        if self.frames <= max_frames:
            return self
        return self.cached(("subset", max_frames, seed), lambda: self._drawn(max_frames, seed))

    def _drawn(self, max_frames: int, seed: int) -> Samples:
        if self.lengths is None:
            kept = _one_of_each_run(self.frames, max(max_frames, 1), seed)
            return self._rows(kept, None)
        lengths = np.array(self.lengths)
        most = min(len(lengths), max_frames // int(lengths.min()))
        for count in range(most, 0, -1):
            chosen = _one_of_each_run(len(lengths), count, seed)
            if lengths[chosen].sum() <= max_frames and count > 1:
                starts = np.cumsum(lengths) - lengths
                rows = np.concatenate([np.arange(starts[u], starts[u] + lengths[u]) for u in chosen])
                return self._rows(rows, tuple(lengths[chosen].tolist()))
        raise MeasureError(
            f"max_frames={max_frames} holds fewer than two whole utterances spread over these {len(lengths)} (of "
            f"{int(np.median(lengths))} frames in the middle); raise it to {2 * int(lengths.max())}, or pool to a "
            "coarser grid"
        )

    def _rows(self, rows: np.typing.NDArray[np.intp], lengths: tuple[int, ...] | None) -> Samples:
        index = torch.from_numpy(rows)
        return Samples({name: x[index.to(x.device)] for name, x in self.views.items()}, lengths)


def _one_of_each_run(items: int, runs: int, seed: int) -> np.typing.NDArray[np.intp]:
    """Positions of one item from each of so many runs of equal number (or nearly)."""
    edges = np.linspace(0, items, runs + 1).round().astype(np.intp)
    return np.random.default_rng(seed).integers(edges[:-1], edges[1:])


def _tensor(x: Array) -> torch.Tensor:
    if isinstance(x, torch.Tensor):
        return x.detach()
    if x.dtype.type not in (np.float16, np.float32, np.float64) or not x.dtype.isnative:
        x = x.astype(np.float64)  # long doubles and foreign byte orders, which torch does not have
    # torch takes neither negative strides nor, without a warning, memory that is not to be written.
    return torch.from_numpy(x if x.flags.writeable and min(x.strides) >= 0 else x.copy())


def lengths_to_index(lengths: Sequence[int]) -> torch.Tensor:
    """Each frame's utterance, counted from 0."""
    return torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))
