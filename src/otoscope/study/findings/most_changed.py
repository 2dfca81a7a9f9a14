"""F5: which layers training changes most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from otoscope.study.findings.choosing import at_choice_of_others
from otoscope.study.findings.evidence import Seen
from otoscope.study.findings.question import Question

__all__ = ["MOST_CHANGED", "changes"]

FEWEST_LAYERS = 4

Floats = npt.NDArray[np.float64]


def changes(runs: Sequence[Seen]) -> Floats:
    """(runs, layers): 1 − the similarity of each layer's untrained state to its final one."""
    found: Floats = 1 - np.array([run["kept"] for run in runs])
    return found


def most_changed(runs: Sequence[Seen]) -> float:
    """How much more the layer changes that changes most than the median of all layers, mean over runs.

    Formula: mean over runs r of c_r(l_r) − median_l c_r(l), c_r(l) = 1 − s(l untrained, l final), l_r the layer with
    the largest mean of c − median c in the other runs. So a layer that changed most by chance, in one run, adds
    nothing on average. A single run chooses for itself.
    """
    return float(at_choice_of_others(_above_median(runs)).mean())


def _above_median(runs: Sequence[Seen]) -> Floats:
    change = changes(runs)
    above: Floats = change - np.median(change, axis=1, keepdims=True)
    return above


def _by_layer(runs: Sequence[Seen]) -> Mapping[str, float]:
    """The layer that changes most over all runs, in what share of them it does, and how much each layer changes."""
    above = _above_median(runs)
    chosen = int(above.mean(0).argmax())
    return {
        "layer that changes most": float(chosen),
        "share of runs in which it does": float((above.argmax(1) == chosen).mean()),
        **{f"change of layer {k}": float(change) for k, change in enumerate(changes(runs).mean(0))},
    }


def _refusal(seen: Seen) -> str:
    kept = seen["kept"]
    if len(kept) < FEWEST_LAYERS:
        return f"{len(kept)} layers, and one that changes more than the rest takes at least {FEWEST_LAYERS}"
    if not np.isfinite(kept).all():
        return f"{int((~np.isfinite(kept)).sum())} similarities to the untrained state were not computed"
    return ""


MOST_CHANGED = Question(
    id="F5",
    name="the layer that training changes most",
    claim="one layer changes more than the others from the untrained to the final state, the same with every seed",
    effect_is="change of the layer that changes most (1 − similarity) less the median change of the layers",
    least=0.1,
    read={"kept": "kept"},
    effect=most_changed,
    baselines={"shuffled": {"kept": "kept_shuffled"}},
    refusal=_refusal,
    details=_by_layer,
)
