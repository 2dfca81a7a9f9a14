"""Representational similarity analysis: which pooled items are unlike which others."""

from __future__ import annotations

from typing import Literal, get_args

import torch

from otoscope.errors import MeasureError
from otoscope.measures.checks import Array, Utterances
from otoscope.measures.moments import Moments
from otoscope.measures.registry import Measure, register
from otoscope.measures.result import Similarity
from otoscope.measures.samples import Samples, lengths_to_index
from otoscope.measures.spectrum import spectrum

__all__ = ["MAX_ITEMS", "Comparison", "Dissimilarity", "compute", "rsa"]

MAX_ITEMS = 2000  # two million pairs, 16 MB a layer
PART = 1 << 16  # frames converted to float64 at a time
ROUNDING = 1e-12  # relative to the largest
LEAST = 4  # items; three have only three dissimilarities

Dissimilarity = Literal["euclidean", "correlation", "cosine"]
Comparison = Literal["spearman", "pearson", "cosine"]


def rsa(
    x: Array,
    y: Array,
    *,
    utterances: Utterances | None = None,
    segments: Utterances | None = None,
    dissimilarity: Dissimilarity = "euclidean",
    comparison: Comparison = "spearman",
    centre: bool = True,
    max_items: int | None = MAX_ITEMS,
) -> Similarity:
    """Representational similarity analysis of two layers.

    Formula: the correlation, over all pairs of items, of the items' dissimilarities in x with those in y. An item is
    the mean of the frames of one utterance, or of one segment: a word, a phone, a token type.

    Use it for what layers make of whole utterances or of units of language, not of frames. Rank correlation asks for
    the same order of dissimilarities only. With few items it spreads widely: 20 have 190 dissimilarities, but these are
    far from independent. Kriegeskorte et al. take the correlation dissimilarity; the Euclidean one is the default
    because a rotation of the units does not change it, and it takes layers of any width.

    Arguments:
        x: frames × units, numpy or torch, any floating type.
        y: the same frames × its units.
        utterances: each frame's utterance index, or the list of lengths in frames: each utterance is an item.
        segments: in place of utterances, each frame's segment (equal labels are one item, wherever they are), or the
            list of lengths.
        dissimilarity: `"euclidean"`; `"correlation"`, 1 − r over units; or `"cosine"`, 1 − cos.
        comparison: `"spearman"`, `"pearson"`, or `"cosine"` of the vectors of dissimilarities.
        centre: take each unit's mean over items away first. The Euclidean dissimilarity does not depend on it; without
            it, units with a large offset make all items alike for the other two.
        max_items: where there are more items, so many spread evenly are taken; `None` takes all. It costs items².

    Returns:
        The similarity, never clamped, with `utterances` the number of items and `frames` those in them. `null` is the
        exact mean over permutations of the items: 0, but for the cosine comparison.

    Raises:
        MeasureError: a layer is constant, not finite or not frames × units; no utterances or segments; fewer than 4;
            all dissimilarities equal; 1 unit (correlation).

    Source: Kriegeskorte, Mur & Bandettini 2008.

    >>> import torch
    >>> g = torch.Generator().manual_seed(0)
    >>> words = torch.randn(40, 8, generator=g).repeat_interleave(20, 0)  # 40 words of 20 frames
    >>> x, y = (words + torch.randn(800, 8, generator=g) for _ in range(2))
    >>> result = rsa(x, y, segments=[20] * 40)
    >>> round(result.value, 1), result.utterances
    (0.9, 40)
    """
    if (utterances is None) == (segments is None):
        raise MeasureError(
            "rsa compares items: give either `utterances` or `segments`, each frame's label or the list of lengths"
        )
    samples = Samples.of({"x": x, "y": y}, utterances=segments if utterances is None else utterances)
    return compute(
        samples, "x", "y", dissimilarity=dissimilarity, comparison=comparison, centre=centre, max_items=max_items
    )


def compute(
    samples: Samples,
    x: str,
    y: str,
    *,
    dissimilarity: Dissimilarity = "euclidean",
    comparison: Comparison = "spearman",
    centre: bool = True,
    max_items: int | None = MAX_ITEMS,
) -> Similarity:
    """`rsa` of two layers over the samples' utterances; arguments and errors as there."""
    for what, value, known in (
        ("dissimilarity", dissimilarity, get_args(Dissimilarity)),
        ("comparison", comparison, get_args(Comparison)),
    ):
        if value not in known:
            raise MeasureError(f"no {what} '{value}'; there are {', '.join(known)}")
    count = samples.utterances
    if count is None or count < LEAST:
        raise MeasureError(
            f"rsa compares utterances or segments and needs at least {LEAST}, got {count or 'none'}; give their "
            "lengths, or more of them"
        )
    chosen = torch.arange(count)
    if max_items is not None and count > max_items:
        chosen = torch.linspace(0, count - 1, max(max_items, LEAST)).round().long()
    items = {name: _means(samples, name, chosen) for name in (x, y)}
    ranks = tuple(spectrum(Moments.of({name: items[name].to(samples.view(name).dtype)}), name).rank for name in (x, y))
    X, Y = (
        samples.cached(
            ("rsa", name, dissimilarity, comparison, centre, len(chosen)),
            lambda name=name: _direction(name, items[name], dissimilarity, comparison, centre),  # type: ignore[misc]
        )
        for name in (x, y)
    )
    return Similarity(
        measure="rsa",
        value=float(X @ Y),
        # Each pair of items meets each other pair equally often.
        null=float(X.sum() * Y.sum()) / len(X) if comparison == "cosine" else 0.0,
        frames=int(torch.tensor(samples.lengths)[chosen].sum()),
        units=(samples.widths[x], samples.widths[y]),
        ranks=(ranks[0], ranks[1]),
        layers=(x, y),
        utterances=len(chosen),
    )


def _means(samples: Samples, name: str, chosen: torch.Tensor) -> torch.Tensor:
    """Items × units: the mean frame of each item."""
    assert samples.lengths is not None  # checked by compute
    lengths, x = torch.tensor(samples.lengths), samples.view(name).cpu()
    index, sums = lengths_to_index(samples.lengths), torch.zeros(len(lengths), x.shape[1], dtype=torch.float64)
    for start in range(0, len(x), PART):
        sums.index_add_(0, index[start : start + PART], x[start : start + PART].double())
    return (sums / lengths[:, None])[chosen]


def _direction(
    name: str, items: torch.Tensor, dissimilarity: Dissimilarity, comparison: Comparison, centre: bool
) -> torch.Tensor:
    """The vector of all dissimilarities (of their ranks, less their mean), scaled to length 1."""
    found = _dissimilarities(name, items - items.mean(0) if centre else items, dissimilarity)
    varies = found if comparison == "cosine" else found - found.min()
    if not float(varies.max()) > 1e-9 * float(found.abs().max()):  # what is left is rounding
        raise MeasureError(
            f"all {len(found)} dissimilarities of layer '{name}' are equal, so nothing can correlate with them; give "
            "more items, or choose dissimilarity='euclidean'"
        )
    if comparison == "spearman":
        found = _average_ranks(found)
    if comparison != "cosine":
        found = found - found.mean()
    direction: torch.Tensor = found / torch.linalg.vector_norm(found)
    return direction


def _dissimilarities(name: str, items: torch.Tensor, dissimilarity: Dissimilarity) -> torch.Tensor:
    """Of all pairs of items, each once."""
    count, width = items.shape
    if dissimilarity == "euclidean":
        return torch.pdist(items)  # from differences: equal items are exactly 0 apart
    if dissimilarity == "correlation":
        items = items - items.mean(1, keepdim=True)
    lengths = torch.linalg.vector_norm(items, dim=1, keepdim=True)
    alike = int((lengths <= 1e-9 * lengths.max()).sum())
    if alike or (dissimilarity == "correlation" and width == 1):
        raise MeasureError(
            f"{dissimilarity} dissimilarity is not defined for {alike or count} of {count} items of layer '{name}' "
            f"({width} units): all their units are equal{' to 0' if dissimilarity == 'cosine' else ''}; choose "
            "dissimilarity='euclidean'"
        )
    items = items / lengths
    cosines: torch.Tensor = (items @ items.T)[torch.ones(count, count, dtype=torch.bool).triu_(1)]
    return 1 - cosines


def _average_ranks(values: torch.Tensor) -> torch.Tensor:
    """Ranks from 1; values that are equal but for rounding share the mean of theirs."""
    order = values.argsort()
    in_order = values[order]
    group = torch.cat([torch.zeros(1, dtype=torch.long), (in_order.diff() > ROUNDING * in_order.abs().max()).cumsum(0)])
    count = group.bincount()
    last = count.cumsum(0).double()
    ranks = torch.empty(len(values), dtype=torch.float64)
    ranks[order] = (last - (count - 1) / 2)[group]
    return ranks


register(Measure("rsa", compute, needs="4 utterances or segments; costs the square of their number", source="samples"))
