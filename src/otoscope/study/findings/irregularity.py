"""F3: similarity goes up and down with depth, as Ollerenshaw et al. (2021) find in a Transformer's encoder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from otoscope.study.findings.evidence import Seen, recogniser_of
from otoscope.study.findings.order import away_from
from otoscope.study.findings.question import Question
from otoscope.study.findings.reading import BASELINES, WITHIN, few_layers

__all__ = ["IRREGULARITY", "IRREGULARITY_AGAINST_OTHERS", "irregularity"]

FEWEST_LAYERS = 4

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.intp]


@lru_cache(maxsize=32)
def _moves(layers: int) -> tuple[Ints, Ints, Ints]:
    """(from, nearer, farther): all steps away from every layer, the first of which leave the layer itself."""
    i = np.arange(layers - 1)
    own = np.concatenate([i, i + 1]), np.concatenate([i, i + 1]), np.concatenate([i + 1, i])
    first, nearer, farther = (np.concatenate(pair) for pair in zip(own, away_from(layers), strict=True))
    return first, nearer, farther


def irregularity(similarity: Floats) -> float:
    """The share of all movement of similarity, on the way away from each layer, that goes up instead of down.

    Formula: Σ max(m, 0) / Σ |m| over the moves m = s(i, k ± 1) − s(i, k) away from layer i, from the layer itself,
    s(i, i), to the first and to the last. 0 where every profile falls all the way, however steeply (a Robinson matrix);
    layers in no order have 0.2 (5 layers) to 0.36 (13), for each profile must fall from s(i, i) before it can rise.
    Small fluctuations count little beside that fall, so noise alone is no irregularity. NaN where nothing moves.

    >>> irregularity(np.array([[1.0, 0.8, 0.4], [0.8, 1.0, 0.8], [0.4, 0.8, 1.0]]))
    0.0
    """
    move = _each_move(similarity)
    total = np.abs(move).sum()
    return float(np.maximum(move, 0).sum() / total) if total else float("nan")


def _each_move(similarity: Floats) -> Floats:
    i, nearer, farther = _moves(len(similarity))
    moved: Floats = similarity[i, farther] - similarity[i, nearer]
    return moved


def by_share(runs: Sequence[Seen]) -> float:
    """The mean over runs of `irregularity`."""
    return float(np.mean([irregularity(run["within"]) for run in runs]))


def beyond_others(runs: Sequence[Seen]) -> float:
    """`irregularity`, mean over the recogniser's runs, less its mean over the other recognisers, each the mean of its.

    Others with too few layers, or without all similarities, are left out; `others` in the details counts the rest.
    """
    others = _others(runs)
    if not others:
        return float("nan")
    return by_share([run for run in runs if run.own]) - float(np.mean([by_share(mine) for mine in others.values()]))


def _others(runs: Sequence[Seen]) -> dict[str, list[Seen]]:
    found: dict[str, list[Seen]] = {}
    for run in runs:
        if not run.own and not _REFUSAL(run):
            found.setdefault(recogniser_of(run.runs[0]), []).append(run)
    return found


def _by_layer(runs: Sequence[Seen]) -> Mapping[str, float]:
    """Layer by layer, how far its profile rises again in all: similarity, mean over runs."""
    own = [run["within"] for run in runs if run.own]
    if len({len(similarity) for similarity in own}) != 1:
        return {}
    i, _, _ = _moves(len(own[0]))
    rises = np.mean([np.bincount(i, np.maximum(_each_move(similarity), 0)) for similarity in own], axis=0)
    return {f"rise of layer {k}": float(rise) for k, rise in enumerate(rises)}


def _beside_others(runs: Sequence[Seen]) -> Mapping[str, float]:
    others = _others(runs)
    return {
        "own": by_share([run for run in runs if run.own]),
        "others": float(len(others)),
        **{name: by_share(mine) for name, mine in others.items()},
    }


_REFUSAL = few_layers(FEWEST_LAYERS)


def _refusal_of_own(seen: Seen) -> str:
    return _REFUSAL(seen) if seen.own else ""


UNTRAINED = {"untrained": BASELINES["untrained"]}
"""Shuffled utterances have no profile that could be smooth: what is left of it is noise, which is irregular."""

IRREGULARITY = Question(
    id="F3",
    name="irregularity in depth",
    claim="on the way away from a layer, similarity does not only fall but rises again",
    effect_is="share of all movement of similarity, away from layers, that goes up (0: none, 0.2 to 0.4: no order)",
    least=0.1,
    read=WITHIN,
    effect=by_share,
    baselines=UNTRAINED,
    refusal=_REFUSAL,
    details=_by_layer,
)

IRREGULARITY_AGAINST_OTHERS = Question(
    id="F3-others",
    name="irregularity in depth against other architectures",
    claim="its profile is less regular in depth than those of the other recognisers",
    effect_is="share of all movement of similarity that goes up, less its mean over the other recognisers",
    least=0.05,
    read=WITHIN,
    effect=beyond_others,
    baselines=UNTRAINED,
    refusal=_refusal_of_own,
    scope="against others",
    details=_beside_others,
)
