"""F1: similarity falls with the distance of layers, as Ollerenshaw et al. (2021) find in a CNN."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from otoscope.study.findings.evidence import Seen
from otoscope.study.findings.order import falling_with_distance, triples
from otoscope.study.findings.question import Question
from otoscope.study.findings.reading import BASELINES, FEWEST_LAYERS, WITHIN, few_layers

__all__ = ["CLOSE_LAYERS", "DEPTH_HIERARCHY", "ROBINSON"]


def by_rank(runs: Sequence[Seen]) -> float:
    """The mean over runs of how similarity goes with closeness in depth."""
    return float(np.mean([falling_with_distance(run["within"]) for run in runs]))


def by_triples(runs: Sequence[Seen]) -> float:
    """1 − 2 × the share of inequalities of a Robinson matrix that are broken, mean over runs.

    In a Robinson matrix s_ik ≤ s_ij and s_ik ≤ s_jk for all i < j < k: 1. In one without any order half are broken: 0.
    """
    return float(np.mean([1 - 2 * _broken(run["within"]) for run in runs]))


def _broken(similarity: npt.NDArray[np.float64]) -> float:
    i, j, k = triples(len(similarity))
    far = similarity[i, k]
    return float(np.mean([far > similarity[i, j], far > similarity[j, k]]))


def among_close(runs: Sequence[Seen]) -> float:
    """How much better the order is kept where similarities are high than where they are low, mean over runs."""
    return float(np.mean([_among_close(run["within"]) for run in runs]))


def _among_close(similarity: npt.NDArray[np.float64]) -> float:
    """Comparisons of two pairs of layers, split at the median of the larger of their similarities."""
    i, j = np.triu_indices(len(similarity), 1)
    s, distance = similarity[i, j], np.abs(i - j)
    a, b = np.triu_indices(len(s), 1)
    told = distance[a] != distance[b]
    a, b = a[told], b[told]
    kept = np.sign(s[a] - s[b]) * np.sign(distance[b] - distance[a])
    level = np.maximum(s[a], s[b])
    high = level > np.median(level)
    return float(kept[high].mean() - kept[~high].mean()) if high.any() else float("nan")


SOME_HIERARCHY = 0.2
"""Of F1's effect: layers whose similarities have less of an order in depth have none that could be limited to some."""


def _no_hierarchy(runs: Sequence[Seen]) -> str:
    order = by_rank(runs)
    return f"no hierarchy in depth that could be limited: Somers' D {order:.2f}" if order < SOME_HIERARCHY else ""


DEPTH_HIERARCHY = Question(
    id="F1",
    name="depth hierarchy",
    claim="the farther apart two layers are in depth, the less similar they are",
    effect_is="Somers' D of similarity with closeness in depth, over pairs of layers (1: always, 0: no order)",
    least=0.5,
    read=WITHIN,
    effect=by_rank,
    baselines=BASELINES,
    refusal=few_layers(FEWEST_LAYERS),
)

ROBINSON = Question(
    id="F1-robinson",
    name="depth hierarchy, layer by layer",
    claim="of three layers, the outer two are never more similar than either is to the middle one",
    effect_is="1 − 2 × the share of broken inequalities of a Robinson matrix (1: none is broken, 0: half are)",
    least=0.5,
    read=WITHIN,
    effect=by_triples,
    baselines=BASELINES,
    refusal=few_layers(FEWEST_LAYERS),
)

CLOSE_LAYERS = Question(
    id="F1-close",
    name="hierarchy among close layers only",
    claim="the hierarchy in depth is clearer where layers are more similar",
    effect_is="Somers' D where similarities are above their median, less that where they are below",
    least=0.3,  # seven layers in order up to one apart read 0.8, up to two 0.3, all the way 0.0 to 0.2
    read=WITHIN,
    effect=among_close,
    premise=_no_hierarchy,
    baselines=BASELINES,
    refusal=few_layers(FEWEST_LAYERS),
)
