"""Mergeable one-pass moments: all that the measures need to know of any amount of speech, in fixed size."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar, cast

import torch

from otoscope.errors import MeasureError
from otoscope.measures.blocks import LayerBlock, Pair, PairBlock
from otoscope.measures.checks import Array, Utterances, by_utterance, check_values, check_views

__all__ = ["CentredPair", "InnerProducts", "Moments", "Pair"]

T = TypeVar("T")

TO_UNITS = "to units"  # what `to_units` is remembered under


@dataclass(frozen=True, slots=True)
class InnerProducts:
    """What CKA needs of a pair, features exactly centred.

    `square` is ‖Σ x̃_s ỹ_sᵀ‖², `norms` is Σ ‖x̃_s‖² ‖ỹ_s‖², `within` is Σ_u ‖Ã_u‖² (`None` where utterances are not kept
    apart).
    """

    square: float
    norms: float
    within: float | None


@dataclass(frozen=True, slots=True)
class CentredPair:
    """A pair's sums with exactly centred features, along the layers' own axes.

    `cross` is (p, q) Σ x̃_s ỹ_sᵀ, `norms` is Σ ‖x̃_s‖² ‖ỹ_s‖², `within` is Σ_u ‖Ã_u‖² (`None` where utterances are not
    kept apart).
    """

    cross: torch.Tensor
    norms: float
    within: float | None

    def transposed(self) -> CentredPair:
        """The same pair seen from y."""
        return CentredPair(self.cross.T, self.norms, self.within)


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
        mergeable: whether the origin may still move, as merging with other moments takes.

    Memory: 16 bytes × p × q for each pair (8 without utterances, or where not mergeable), however much speech is
    added.

    Precision: float64 input is summed in float64. Float32, float16 and bfloat16 input is summed in float32 products
    of a few thousand frames along the layer's principal axes, added up in float64: values agree with float64's to
    about 1e-7, where a direction's deviation is 10⁻⁴ of the largest or above (to 1e-5 at 10⁻⁵). Where there is little
    to sum, or speech is unlike what the axes were taken from, float64 is used for these too.

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
    mergeable: bool = field(repr=False)
    origins: Mapping[str, torch.Tensor] = field(repr=False)
    axes: Mapping[str, torch.Tensor | None] = field(repr=False)
    layers: Mapping[str, LayerBlock] = field(repr=False)
    blocks: Mapping[Pair, PairBlock] = field(repr=False)
    products: Mapping[Pair, InnerProducts] = field(default_factory=dict, repr=False)
    _cache: dict[Hashable, Any] = field(default_factory=dict, repr=False)
    _pair_cache: dict[Hashable, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def zero(
        cls,
        widths: Mapping[str, int],
        *,
        pairs: Sequence[Pair] | None = None,
        utterances: bool = True,
        mergeable: bool = True,
        self_pairs: bool = True,
    ) -> Moments:
        """No frames yet, of layers with these widths.

        Arguments:
            widths: units by layer name.
            pairs: the pairs of layers to keep; all unordered pairs where not given. Each layer's pair with itself
                is always kept.
            utterances: whether utterances are kept apart, as cross-utterance CKA needs; costs twice the memory.
            mergeable: whether moments with other origins will be added; where not, half the memory and half the
                products are saved, and all speech must come in one update where utterances are kept apart.
            self_pairs: whether to keep each layer's pair with itself, as every measure needs.
        """
        if not widths or any(int(p) < 1 for p in widths.values()):
            raise MeasureError(f"moments need at least one layer, each of at least one unit; got {dict(widths)}")
        kept = _all_pairs(widths, pairs, self_pairs)
        return cls(
            widths=dict(widths),
            pairs=kept,
            frames=0,
            utterances=0 if utterances else None,
            squares=0,
            mergeable=mergeable,
            origins={},
            axes={},
            layers=LayerBlock.zeros(widths, utterances),
            blocks=PairBlock.zeros({(x, y): (widths[x], widths[y]) for x, y in kept}, utterances, mergeable),
        )

    @classmethod
    def of(
        cls,
        views: Mapping[str, Array],
        *,
        utterances: Utterances | None = None,
        pairs: Sequence[Pair] | None = None,
        mergeable: bool = True,
    ) -> Moments:
        """The moments of whole layers.

        Arguments:
            views: layer name to frames × units, all with the same frames.
            utterances: each frame's utterance index, in any order, or the list of lengths; `None`: not kept apart.
            pairs, mergeable: as for `zero`. Where not mergeable, frames are counted from their exact mean.
        """
        from otoscope.measures.accumulator import Accumulator
        from otoscope.measures.coordinates import Coordinates

        check_views(views)
        views, lengths = by_utterance(views, utterances)
        check_values(views)
        widths = {name: x.shape[1] for name, x in views.items()}
        total = Accumulator(
            widths,
            pairs=pairs,
            utterances=lengths is not None,
            mergeable=mergeable,
            coordinates=Coordinates.of(views, pairs),
        )
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
        """The sums of a pair, with exactly centred features, in units; `centred` has less in it and is cheaper."""
        self._check_measurable(x, y)
        self._check_covariance(x, y)
        if (x, y) not in self.blocks:
            return self.pair(y, x).transposed()
        X, Y = self.layers[x], self.layers[y]
        m, mu = X.total / self.frames, Y.total / self.frames
        moved = self.blocks[x, y].moved(m, mu, X, Y, self.frames, self.squares)
        return moved.turned(self.to_units(x), self.to_units(y))

    def centred(self, x: str, y: str) -> CentredPair:
        """What the measures need of a pair: features exactly centred, along the axes in which they were summed.

        The axes of a layer are the same in all its pairs and orthogonal (to the precision of the input), so that
        whatever a rotation leaves unchanged can be read off as it stands; `to_units` leads back to the units.
        """
        self._check_measurable(x, y)
        self._check_covariance(x, y)
        if (x, y) not in self.blocks:
            return self.centred(y, x).transposed()
        return self.cached_pair(x, y, "centred", lambda: self._centre(x, y))

    def inner(self, x: str, y: str) -> InnerProducts:
        """What CKA needs of a pair: lengths and inner products, without its matrices."""
        self._check_measurable(x, y)
        known = self.products.get((x, y)) or self.products.get((y, x))
        if known is not None:
            return known

        def find() -> InnerProducts:
            pair = self.centred(x, y)
            return InnerProducts(float(torch.linalg.vector_norm(pair.cross)) ** 2, pair.norms, pair.within)

        return self.cached_pair(x, y, "inner", find)

    def _centre(self, x: str, y: str) -> CentredPair:
        """`PairBlock.moved` to the mean, where Σ x_s = n m lets most of it fall away."""
        n, block, X, Y = self.frames, self.blocks[x, y], self.layers[x], self.layers[y]
        m, mu = X.total / n, Y.total / n
        M, V, mA = m @ m, mu @ mu, m @ block.cross
        norms = (
            block.norms - 2 * (mu @ block.norm_y) - 2 * (m @ block.norm_x) + V * X.energy + M * Y.energy
            + 4 * (mA @ mu) - 3 * n * M * V
        )  # fmt: skip
        within = None
        if block.within is not None and block.cross_t is not None and block.cross_s is not None:
            S, sigma, T, tau = *X.by_utterance(), *Y.by_utterance()
            Q = self.squares
            g = (
                block.within + V * sigma + M * tau + Q * M * V - 2 * (mu @ block.cross_s) - 2 * (m @ block.cross_t)
                - 2 * V * (m @ S) - 2 * M * (mu @ T)
            )  # fmt: skip
            if block.spread is not None:
                g = g + 2 * (m @ (block.spread @ mu))
            else:  # what it would be of utterances alike; m is small, or 0, where it was left out
                g = g + 2 * (Q / n) * (mA @ mu) + 2 * n * n * M * V / (self.utterances or 1)
            within = float(g)
        return CentredPair(torch.addr(block.cross, m, mu, alpha=-n), float(norms), within)

    def layer(self, name: str) -> LayerBlock:
        """The sums of a layer, with exactly centred features, along its own axes (`storage` by unit)."""
        self._check_measurable(name, name)
        X = self.layers[name]

        def centre() -> LayerBlock:
            return X.moved(X.total / self.frames, self.frames, self.squares)

        return self.cached(("layer", name), centre)

    def mean(self, name: str) -> torch.Tensor:
        """The mean of each unit of a layer."""
        self._check_measurable(name, name)
        to_units, mean = self.to_units(name), self.layers[name].total / self.frames
        return self.origins[name] + (mean if to_units is None else mean @ to_units)

    def precision(self, name: str) -> float:
        """How well a layer's numbers are known, relative to their size: at most as float32 does where it came in it."""
        return math.sqrt(float(self.layers[name].resolution) / self.frames)

    def to_units(self, name: str) -> torch.Tensor | None:
        """B with x = z B for coordinates z along the layer's axes (rows), or `None` where these are the units."""
        axes = self.axes.get(name)
        if axes is None:
            return None
        units: torch.Tensor = self.cached((TO_UNITS, name), lambda: torch.linalg.inv(axes))
        return units

    def has_pair(self, x: str, y: str) -> bool:
        """Whether this pair was kept, in either order."""
        return any(pair in kept for kept in (self.blocks, self.products) for pair in ((x, y), (y, x)))

    def cached(self, key: Hashable, make: Callable[[], T]) -> T:
        """What is worked out once for these moments, e.g. a layer's eigendecomposition, and shared by measures."""
        if key not in self._cache:
            self._cache[key] = make()
        return cast(T, self._cache[key])

    def cached_pair(self, x: str, y: str, key: Hashable, make: Callable[[], T]) -> T:
        """As `cached`, for one pair of layers; only the pair asked for last is remembered, to bound the memory."""
        pair = frozenset((x, y))
        if self._pair_cache.get("pair") != pair:
            self._pair_cache.clear()
            self._pair_cache["pair"] = pair
        if (x, y, key) not in self._pair_cache:
            self._pair_cache[x, y, key] = make()
        return cast(T, self._pair_cache[x, y, key])

    def copy(self) -> Moments:
        """The same moments in tensors of their own."""
        layers = {name: block.copy() for name, block in self.layers.items()}
        blocks = {pair: block.copy() for pair, block in self.blocks.items()}
        return replace(self, layers=layers, blocks=blocks, _cache={}, _pair_cache={})

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

    def _check_covariance(self, x: str, y: str) -> None:
        if (x, y) not in self.blocks and (y, x) not in self.blocks:
            raise MeasureError(
                f"only what CKA needs of the pair '{x}', '{y}' was kept in these moments; make them with Moments.of"
            )

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


def _all_pairs(widths: Mapping[str, int], pairs: Sequence[Pair] | None, self_pairs: bool) -> tuple[Pair, ...]:
    names = list(widths)
    if pairs is None:
        return tuple((x, y) for i, x in enumerate(names) for y in names[i:])
    unknown = sorted({name for pair in pairs for name in pair} - set(names))
    if unknown:
        raise MeasureError(f"pairs name unknown layers {', '.join(unknown)}; there are {', '.join(names)}")
    kept: dict[Pair, None] = {(name, name): None for name in names} if self_pairs else {}
    for x, y in pairs:
        if (y, x) not in kept:
            kept[x, y] = None
    return tuple(kept)
