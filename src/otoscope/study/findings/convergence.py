"""F2: layers near the input settle first, as Ollerenshaw et al. (2021) find in an LSTM, Raghu et al. (2017) before."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from otoscope.study.findings.evidence import Seen
from otoscope.study.findings.order import agreement
from otoscope.study.findings.question import Question, TooLittle
from otoscope.study.findings.reading import TO_FINAL

__all__ = ["BOTTOM_UP", "settled"]

SHARE = 0.8
"""Of its way from the untrained to the final state, after which a layer counts as settled."""

FEWEST_LAYERS, FEWEST_STEPS = 4, 5

LEAST_WAY = 0.05
"""A layer whose similarity to its final state grows by less has no way to go: its pace is noise."""

Floats = npt.NDArray[np.float64]


def settled(to_final: Floats, steps: Floats, share: float = SHARE) -> Floats:
    """The training step at which each layer has gone a share of its way, between checkpoints in a straight line.

    `to_final` (layers, steps) is each layer's similarity to its final state. The way gone is (s(t) − s(0)) / (s(T) −
    s(0)), 0 untrained and 1 at the end, and a layer has settled where it last comes to the share from below: coming
    near and leaving again is not settling. NaN for a layer whose way is below 0.05.

    >>> settled(np.array([[0.0, 0.5, 1.0], [0.0, 1.0, 1.0]]), np.array([0.0, 10.0, 20.0]), share=0.5).tolist()
    [10.0, 5.0]
    """
    way = to_final[:, -1] - to_final[:, 0]
    with np.errstate(divide="ignore", invalid="ignore"):
        gone = (to_final - to_final[:, :1]) / way[:, None]
    found = np.full(len(to_final), np.nan)
    for layer in np.flatnonzero(way >= LEAST_WAY):
        below = np.flatnonzero(gone[layer] < share)
        last = int(below[-1])  # there is one: the untrained state has gone nothing
        before, after = gone[layer, last], gone[layer, last + 1]
        found[layer] = steps[last] + (share - before) / (after - before) * (steps[last + 1] - steps[last])
    return found


def bottom_up(runs: Sequence[Seen]) -> float:
    """The mean over runs of how the step at which layers settle goes with their depth."""
    return float(np.mean([_bottom_up(run) for run in runs]))


def _bottom_up(run: Seen) -> float:
    when = settled(run["to_final"], run["steps"])
    told = np.isfinite(when)
    return agreement(np.flatnonzero(told).astype(float), when[told])


def _refusal(seen: Seen) -> str:
    layers, steps = seen["to_final"].shape
    if layers < FEWEST_LAYERS:
        return f"{layers} layers, and an order in which they settle takes at least {FEWEST_LAYERS}"
    if steps < FEWEST_STEPS:
        return TooLittle(f"{steps} checkpoints, and the pace of layers takes at least {FEWEST_STEPS}")
    if not np.isfinite(seen["to_final"]).all():
        return "similarities to the final state were not computed"
    moved = int((seen["to_final"][:, -1] - seen["to_final"][:, 0] >= LEAST_WAY).sum())
    if moved < FEWEST_LAYERS:
        return f"only {moved} layers are farther than {LEAST_WAY:g} from their final state when untrained"
    return ""


def _any_depth(runs: Sequence[Seen], random: np.random.Generator) -> Sequence[Seen]:
    """The layers of each run in an order drawn at random."""
    return [run.having(to_final=random.permutation(run["to_final"])) for run in runs]


BOTTOM_UP = Question(
    id="F2",
    name="bottom-up convergence",
    claim="layers near the input reach their final state first",
    effect_is=f"Somers' D of the step at which layers have gone {SHARE:.0%} of their way with depth (1: bottom-up)",
    least=0.5,
    read=TO_FINAL,
    effect=bottom_up,
    shuffle=_any_depth,
    refusal=_refusal,
)
