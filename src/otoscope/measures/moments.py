"""Mergeable one-pass moments: all that the measures need to know of any amount of speech, in fixed size."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar, cast

import torch

from otoscope.errors import MeasureError
from otoscope.measures.blocks import LayerBlock, PairBlock
from otoscope.measures.checks import Array, Utterances, check_views, group_utterances

__all__ = ["Moments", "Pair"]

Pair = tuple[str, str]
T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class Moments:
    """Sums over frames of named layers and pairs of layers; an immutable monoid under `+`.

    Formula: for each pair A = Σ x_s y_sᵀ, and the few sums beside it (`blocks.py`) from which the biased, debiased
    and cross-utterance CKA and the CCA family all follow exactly, centred with the exact global mean.

    `-` takes away what was added before, exactly.

    Use it where activations come in pieces or from several processes: `zero`, `update` for each piece, `+` for
    pieces counted apart, in any order and grouping. For many pieces in one process `Accumulator` adds in place.

    Attributes:
        widths: units by layer name.
        pairs: the pairs kept, each layer with itself among them.
        frames: how many frames were added.
        utterances: how many utterances, or `None` where they are not kept apart.
        squares: Σ n_u², from the utterance lengths.

    Memory: 16 bytes × p × q for each pair (8 without utterances), however much speech is added.

    >>> import torch
    >>> x = torch.randn(60, 4, generator=torch.Generator().manual_seed(0))
    >>> whole = Moments.of({"a": x, "b": x.tanh()}, utterances=[20, 30, 10])
    >>> zero = Moments.zero({"a": 4, "b": 4})
    >>> first = zero.update({"a": x[:20], "b": x[:20].tanh()}, [20])
    >>> rest = zero.update({"a": x[20:], "b": x[20:].tanh()}, [30, 10])
    >>> both = rest + first
    >>> both.frames, both.utterances
    (60, 3)
    >>> bool(torch.allclose(both.pair("a", "b").cross, whole.pair("a", "b").cross))
    True
    """

    widths: Mapping[str, int]
    pairs: tuple[Pair, ...]
    frames: int
    utterances: int | None
    squares: int
    origins: Mapping[str, torch.Tensor] = field(repr=False)
    layers: Mapping[str, LayerBlock] = field(repr=False)
    blocks: Mapping[Pair, PairBlock] = field(repr=False)
    _cache: dict[Hashable, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def zero(
        cls, widths: Mapping[str, int], *, pairs: Sequence[Pair] | None = None, utterances: bool = True
    ) -> Moments:
        """No frames yet, of layers with these widths.

        Arguments:
            widths: units by layer name.
            pairs: the pairs of layers to keep; all unordered pairs where not given. Each layer's pair with itself
                is always kept.
            utterances: whether utterances are kept apart, as cross-utterance CKA needs; costs twice the memory.
        """
        if not widths or any(int(p) < 1 for p in widths.values()):
            raise MeasureError(f"moments need at least one layer, each of at least one unit; got {dict(widths)}")
        kept = _all_pairs(widths, pairs)
        cpu = torch.device("cpu")
        return cls(
            widths=dict(widths),
            pairs=kept,
            frames=0,
            utterances=0 if utterances else None,
            squares=0,
            origins={},
            layers={name: LayerBlock.zero(p, utterances, cpu) for name, p in widths.items()},
            blocks={(x, y): PairBlock.zero(widths[x], widths[y], utterances, cpu) for x, y in kept},
        )

    @classmethod
    def of(
        cls,
        views: Mapping[str, Array],
        *,
        utterances: Utterances | None = None,
        pairs: Sequence[Pair] | None = None,
    ) -> Moments:
        """The moments of whole layers.

        Arguments:
            views: layer name to frames × units, all with the same frames.
            utterances: each frame's utterance index, in any order, or the list of lengths; `None`: not kept apart.
            pairs: as for `zero`.
        """
        from otoscope.measures.accumulator import Accumulator

        frames = check_views(views)
        order, lengths = (None, None) if utterances is None else group_utterances(utterances, frames)
        if order is not None:
            views = {name: x[order] for name, x in views.items()}
        widths = {name: x.shape[1] for name, x in views.items()}
        total = Accumulator(widths, pairs=pairs, utterances=lengths is not None)
        total.update(views, lengths)
        return total.take()

    def update(self, views: Mapping[str, Array], lengths: Sequence[int] | None = None) -> Moments:
        """These moments and whole utterances more.

        Arguments:
            views: every layer's frames × units, utterance after utterance, without padding.
            lengths: the utterances' lengths in frames; only moments without utterances take `None`.
        """
        from otoscope.measures.accumulator import Accumulator

        total = Accumulator.of(self)
        total.update(views, lengths)
        return total.take()

    def __add__(self, other: Moments) -> Moments:
        if not isinstance(other, Moments):
            return NotImplemented
        from otoscope.measures.accumulator import Accumulator

        total = Accumulator.of(self)
        total.add(other)
        return total.take()

    def __sub__(self, other: Moments) -> Moments:
        if not isinstance(other, Moments):
            return NotImplemented
        from otoscope.measures.accumulator import Accumulator

        total = Accumulator.of(self)
        total.remove(other)
        return total.take()

    def pair(self, x: str, y: str) -> PairBlock:
        """The sums of a pair, with exactly centred features."""
        self._check_measurable(x, y)
        if (x, y) not in self.blocks:
            return self.pair(y, x).transposed()
        X, Y = self.layers[x], self.layers[y]
        return self.blocks[x, y].moved(X.total / self.frames, Y.total / self.frames, X, Y, self.frames, self.squares)

    def layer(self, name: str) -> LayerBlock:
        """The sums of a layer, with exactly centred features."""
        self._check_measurable(name, name)
        X = self.layers[name]
        return self.cached(("layer", name), lambda: X.moved(X.total / self.frames, self.frames, self.squares))

    def mean(self, name: str) -> torch.Tensor:
        """The mean of each unit of a layer."""
        self._check_measurable(name, name)
        return self.origins[name] + self.layers[name].total / self.frames

    def has_pair(self, x: str, y: str) -> bool:
        """Whether this pair was kept, in either order."""
        return (x, y) in self.blocks or (y, x) in self.blocks

    def cached(self, key: Hashable, make: Callable[[], T]) -> T:
        """What is worked out once for these moments, e.g. a layer's eigendecomposition, and shared by measures."""
        if key not in self._cache:
            self._cache[key] = make()
        return cast(T, self._cache[key])

    def copy(self) -> Moments:
        """The same moments in tensors of their own."""
        layers = {name: block.copy() for name, block in self.layers.items()}
        blocks = {pair: block.copy() for pair, block in self.blocks.items()}
        return replace(self, layers=layers, blocks=blocks, _cache={})

    def _check_measurable(self, x: str, y: str) -> None:
        for name in (x, y):
            if name not in self.widths:
                raise MeasureError(f"no layer '{name}' in the moments; there are {', '.join(self.widths)}")
        if not self.has_pair(x, y):
            raise MeasureError(
                f"the pair '{x}', '{y}' was not kept in these moments; name it in `pairs` when they are made"
            )
        if not self.frames:
            raise MeasureError("these moments are empty: no frames were added; call update first")

    def to_dict(self) -> dict[str, Any]:
        """Plain values and named tensors, from which `from_dict` makes the same moments."""
        from otoscope.measures.storage import to_dict

        return to_dict(self)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Moments:
        """The moments that gave this dict."""
        from otoscope.measures.storage import from_dict

        return from_dict(content)

    def save(self, path: str | Path) -> None:
        """Write the moments to a safetensors file, whole or not at all."""
        from otoscope.measures.storage import save

        save(self, path)

    @classmethod
    def load(cls, path: str | Path) -> Moments:
        """Read the moments from a file that `save` wrote."""
        from otoscope.measures.storage import load

        return load(path)


def _all_pairs(widths: Mapping[str, int], pairs: Sequence[Pair] | None) -> tuple[Pair, ...]:
    names = list(widths)
    if pairs is None:
        return tuple((x, y) for i, x in enumerate(names) for y in names[i:])
    unknown = sorted({name for pair in pairs for name in pair} - set(names))
    if unknown:
        raise MeasureError(f"pairs name unknown layers {', '.join(unknown)}; there are {', '.join(names)}")
    kept: dict[Pair, None] = {(name, name): None for name in names}
    for x, y in pairs:
        if (y, x) not in kept:
            kept[x, y] = None
    return tuple(kept)
