"""F8: layers of different architectures correspond in the order of their depth."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import xarray as xr

from otoscope.study.findings.evidence import Seen
from otoscope.study.findings.order import agreement
from otoscope.study.findings.question import Question
from otoscope.study.matching import Matching, match_layers

__all__ = ["ACROSS_ARCHITECTURES", "depth_with_depth"]

Floats = npt.NDArray[np.float64]

FEWEST_LAYERS = 4
"""Of either recogniser: six pairs whose order can be kept or not."""


def depth_with_depth(similarity: Floats) -> float:
    """How the depth of a layer's best match goes with its own depth, there and back.

    Formula: with s (layers of x, layers of y), ½ [D(i, argmax_j s_ij) + D(j, argmax_i s_ij)], D Somers' (1962)
    `agreement`: of two layers, the share of pairs whose matches stand in the same order less that of the opposite one.
    Two layers with the same match count as neither. So 1 is an order that is kept throughout, 0 none (as where all
    layers match the same one), −1 one that is turned round. Where x has many more layers than y some must share their
    match, and 1 is out of reach: with 10 layers that are matched evenly to 4 it is at most ½ (0.82 + 1) = 0.91.

    >>> depth_with_depth(np.array([[0.9, 0.5, 0.1], [0.4, 0.8, 0.3], [0.2, 0.6, 0.7]]))
    1.0
    """
    return (_goes(similarity.argmax(1)) + _goes(similarity.argmax(0))) / 2


def _goes(best: npt.NDArray[np.intp]) -> float:
    return agreement(np.arange(len(best), dtype=np.float64), best.astype(np.float64))


def correspondence(pairs: Sequence[Seen]) -> float:
    """`depth_with_depth`, mean over pairs of a run of each recogniser.

    Source: Kornblith, Norouzi, Lee & Hinton 2019 (arXiv 1905.00414), section 6.2 and figure 5, show on pictures of s
    that networks of different depth and kind correspond in order; Somers' D is that as one number.
    """
    return float(np.mean([depth_with_depth(pair["across"]) for pair in pairs]))


def _details(pairs: Sequence[Seen]) -> dict[str, float]:
    """Mean similarities of best matches and along the best path in order, and each layer's partner by its index.

    Of the similarities' mean over pairs. A path that loses little to the best matches says that the order costs
    nothing: these recognisers do the same things one after the other.
    """
    mean = np.mean([pair["across"] for pair in pairs], axis=0)
    there, back = _matched(mean), _matched(mean.T)
    return {
        "best match": (there.best_mean + back.best_mean) / 2,
        "path in order": (there.path_mean + back.path_mean) / 2,
        **{f"partner of layer {i}": float(j) for i, j in there.best.items()},
        **{f"partner back of layer {j}": float(i) for j, i in back.best.items()},
    }


def _matched(similarity: Floats) -> Matching:
    x, y = similarity.shape
    return match_layers(xr.DataArray(similarity, {"layer_x": np.arange(x), "layer_y": np.arange(y)}))


def _refusal(pair: Seen) -> str:
    similarity = pair["across"]
    if min(similarity.shape) < FEWEST_LAYERS:
        x, y = similarity.shape
        return f"{x} and {y} layers, and an order of matches takes at least {FEWEST_LAYERS} of both"
    if not np.isfinite(similarity).all():
        return f"{int((~np.isfinite(similarity)).sum())} similarities were not computed"
    return ""


ACROSS_ARCHITECTURES = Question(
    id="F8",
    name="correspondence across architectures",
    claim="the deeper a layer, the deeper its most similar layer in the other recogniser",
    effect_is="Somers' D of the depth of the best match with a layer's own depth, mean of both directions",
    least=0.5,
    read={"across": "across"},
    effect=correspondence,
    refusal=_refusal,
    scope="pair",
    baselines={"untrained": {"across": "across_first"}},
    details=_details,
)
