"""F7: recognisers that differ in their seed agree layer by layer (Kornblith et al. 2019, section 6.1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from otoscope.study.findings.evidence import Seen
from otoscope.study.findings.question import Question

__all__ = ["LAYER_MATCHING", "SAME_DEPTH", "matching_accuracy"]

Floats = npt.NDArray[np.float64]

FEWEST_LAYERS = 4
"""Matching by chance is then right for at most a quarter of the layers, half of what counts."""

READ: Mapping[str, str] = {"across": "across"}
UNTRAINED: Mapping[str, Mapping[str, str]] = {"untrained": {"across": "across_first"}}


def matching_accuracy(similarity: Floats) -> float:
    """The share of layers whose most similar layer in the other run stands at the same depth.

    Formula: with s (L, L), a row for each layer of one run and a column for each of the other,
    ½ [mean_i 1(argmax_j s_ij = i) + mean_j 1(argmax_i s_ij = j)]. Layers of different runs only are matched, so that
    nothing is left out; within one run each layer would be its own best match. A layer matched at random is right in
    1/L of the cases.

    Source: Kornblith, Norouzi, Lee & Hinton 2019 (arXiv 1905.00414), section 6.1: "for each layer in the first
    network, the most similar layer in the second network should be the architecturally corresponding layer". They
    average over ordered pairs of 10 networks, as here over pairs and both directions, and leave the logits out.

    >>> matching_accuracy(np.array([[0.9, 0.2], [0.8, 0.1]]))
    0.5
    """
    depth = np.arange(len(similarity))
    right = [similarity.argmax(1) == depth, similarity.argmax(0) == depth]
    return float(np.mean(right))


def matching(pairs: Sequence[Seen]) -> float:
    """`matching_accuracy`, mean over pairs of runs."""
    return float(np.mean([matching_accuracy(pair["across"]) for pair in pairs]))


def same_depth(pairs: Sequence[Seen]) -> float:
    """mean_i s_ii − mean_{i≠j} s_ij, mean over pairs of runs: in units of the similarity."""
    return float(np.mean([_same_depth(pair["across"]) for pair in pairs]))


def _same_depth(similarity: Floats) -> float:
    same = np.eye(len(similarity), dtype=bool)
    return float(similarity[same].mean() - similarity[~same].mean())


def _chance(pairs: Sequence[Seen]) -> dict[str, float]:
    """What matching at random gives, and the accuracy in each layer, by its index in depth."""
    shown = [pair["across"] for pair in pairs]
    right = np.array([[s.argmax(1) == np.arange(len(s)), s.argmax(0) == np.arange(len(s))] for s in shown])
    by_layer = right.mean((0, 1))
    return {"chance": 1 / len(by_layer)} | {f"layer {i}": float(share) for i, share in enumerate(by_layer)}


def _by_layer(pairs: Sequence[Seen]) -> dict[str, float]:
    """The similarity of layers at the same depth and at different ones, and that of each layer by its index."""
    mean = np.mean([pair["across"] for pair in pairs], axis=0)
    same = np.diagonal(mean)
    different = float(mean[~np.eye(len(mean), dtype=bool)].mean())
    means = {"same depth": float(same.mean()), "different depths": different}
    return means | {f"layer {i}": float(value) for i, value in enumerate(same)}


def _refusal(pair: Seen) -> str:
    similarity = pair["across"]
    x, y = similarity.shape
    if x != y:
        return f"{x} and {y} layers: layers at the same depth take two runs of one architecture"
    if x < FEWEST_LAYERS:
        return f"{x} layers, and matching takes at least {FEWEST_LAYERS}"
    if not np.isfinite(similarity).all():
        return f"{int((~np.isfinite(similarity)).sum())} similarities were not computed"
    return ""


LAYER_MATCHING = Question(
    id="F7-matching",
    name="layers matched across seeds",
    claim="a layer's most similar layer in a run of another seed is the one at the same depth",
    effect_is="share of layers whose best match has the same index, over pairs of runs in both directions",
    least=0.5,
    read=READ,
    effect=matching,
    refusal=_refusal,
    scope="seeds",
    baselines=UNTRAINED,
    details=_chance,
)

SAME_DEPTH = Question(
    id="F7",
    name="agreement across seeds",
    claim="runs that differ in their seed are more similar at the same depth than at different ones",
    effect_is="mean similarity of layers at the same depth, less that of layers at different depths",
    least=0.05,
    read=READ,
    effect=same_depth,
    refusal=_refusal,
    scope="seeds",
    baselines=UNTRAINED,
    details=_by_layer,
)
