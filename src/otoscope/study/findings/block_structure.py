"""F4: a stretch of layers that are more alike than their distance in depth explains, as Nguyen et al. (2021) find."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from otoscope.study.findings.choosing import at_choice_of_others
from otoscope.study.findings.evidence import Seen
from otoscope.study.findings.question import Question
from otoscope.study.findings.reading import BASELINES, FEWEST_LAYERS, WITHIN, few_layers

__all__ = ["BLOCK_STRUCTURE", "block_scores", "stretches"]

SHORTEST = 3
"""Layers of a stretch: two that are alike are no block."""

LEAST_OUTSIDE = 2
"""Layers that a stretch leaves out."""

Floats = npt.NDArray[np.float64]


def beyond_distance(similarity: Floats) -> Floats:
    """s_ij less the mean over all pairs of layers at the same distance |i − j|; the two orders of a pair averaged.

    >>> beyond_distance(np.array([[1.0, 0.8, 0.4], [0.8, 1.0, 0.6], [0.4, 0.6, 1.0]])).round(2)[0].tolist()
    [0.0, 0.1, 0.0]
    """
    symmetric = (similarity + similarity.T) / 2
    index = np.arange(len(symmetric))
    distance = np.abs(index[:, None] - index)
    mean = np.bincount(distance.ravel(), symmetric.ravel()) / np.bincount(distance.ravel())
    residual: Floats = np.where(distance == 0, 0.0, symmetric - mean[distance])
    return residual


@lru_cache(maxsize=32)
def stretches(layers: int) -> tuple[tuple[int, int], ...]:
    """First and last layer of every stretch of at least three layers that leaves two or more out.

    Where it leaves one, that one is odd, and the others need have nothing in common.

    >>> stretches(6)
    ((0, 2), (1, 3), (2, 4), (3, 5), (0, 3), (1, 4), (2, 5))
    """
    return tuple(
        (first, first + n - 1) for n in range(SHORTEST, layers - LEAST_OUTSIDE + 1) for first in range(layers - n + 1)
    )


@lru_cache(maxsize=32)
def _members(layers: int) -> Floats:
    """(stretches, layers): 1 where a layer belongs to a stretch."""
    index = np.arange(layers)
    return np.array([(index >= first) & (index <= last) for first, last in stretches(layers)], dtype=np.float64)


def block_scores(similarity: Floats) -> Floats:
    """Of every stretch, how much more its layers are alike with each other than any other layer is with them.

    Formula: mean of r_ij over pairs i ≠ j of the stretch, less the largest, over layers k outside, of the mean of r_ik
    over i in it. r_ij = s_ij − mean of s over all pairs with the same |i − j|. Where similarity depends on distance
    only, every r is 0. By the largest, one odd layer outside makes no block of the others, and similarity that grows
    little by little from one end to the other makes hardly any.
    """
    members = _members(len(similarity))
    count = members.sum(1)
    to_stretch = members @ beyond_distance(similarity)
    within = (to_stretch * members).sum(1) / (count * (count - 1))
    outside = np.where(members == 1, -np.inf, to_stretch / count[:, None]).max(1)
    found: Floats = within - outside
    return found


def block_structure(runs: Sequence[Seen]) -> float:
    """`block_scores` at the best stretch, which for each run the others choose, mean over runs."""
    return float(at_choice_of_others(_scores(runs)).mean())


def _scores(runs: Sequence[Seen]) -> Floats:
    return np.array([block_scores(run["within"]) for run in runs])


def _which(runs: Sequence[Seen]) -> Mapping[str, float]:
    """The stretch that is best over all runs, its score, and what runs would show if each chose for itself."""
    scores = _scores(runs)
    best = int(scores.mean(0).argmax())
    first, last = stretches(len(runs[0]["within"]))[best]
    return {
        "first layer": float(first),
        "last layer": float(last),
        "best of each run, chosen by itself": float(scores.max(1).mean()),
    }


BLOCK_STRUCTURE = Question(
    id="F4",
    name="block structure",
    claim="a stretch of at least three layers is more alike than distance in depth explains, the same with every seed",
    effect_is="similarity beyond what distance explains: within the stretch, less that with any layer outside, at most",
    least=0.1,
    read=WITHIN,
    effect=block_structure,
    baselines=BASELINES,
    refusal=few_layers(FEWEST_LAYERS),
    details=_which,
)
