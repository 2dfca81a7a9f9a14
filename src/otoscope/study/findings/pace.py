"""F6: how fast layers change goes with how fast the loss falls, and with the learning rate."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from otoscope.study.findings.evidence import Seen
from otoscope.study.findings.partial import partial_rank_correlation, unexplained
from otoscope.study.findings.question import Question, TooLittle

__all__ = ["PACE_AND_LOSS", "PACE_AND_RATE", "Pace"]

FEWEST_INTERVALS = 11
"""Between checkpoints: two quantities and a trend are taken out of ranks, and five degrees of freedom are left."""

TREND = 3
"""Degree of the curve through training that is taken out: changes and losses both level off, whatever the one has to do
with the other. After a straight line independent courses still read 0.2 to 0.9."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Pace:
    """What one run shows of each interval between successive checkpoints."""

    by_layer: Floats
    """(layers, intervals): 1 − the similarity of each layer to itself at the checkpoint before."""

    fall: Floats
    """(intervals,): of the loss on the development split, the same speech at every checkpoint.

    The training loss is the mean over the updates since the last checkpoint: it has none before the first, it lags, and
    over the few updates between early checkpoints it varies with their batches by more than it falls.
    """

    length: Floats
    """(intervals,): log of the number of training steps."""

    rate: Floats
    """(intervals,): the learning rate of the last update."""

    @classmethod
    def of(cls, seen: Seen) -> Pace:
        """From what a run shows, checkpoint by checkpoint."""
        return cls(
            1 - seen["successive"],
            -np.diff(seen["dev_loss"]),
            np.log(np.diff(seen["steps"])),
            seen["learning_rate"][1:],
        )

    @property
    def change(self) -> Floats:
        """(intervals,): the mean over layers."""
        mean: Floats = self.by_layer.mean(0)
        return mean


Relation = Callable[[Pace, Floats], float]
"""Of a run, how changes of its layers, (intervals,), go with something else."""


def with_loss(pace: Pace, change: Floats) -> float:
    """Partial rank correlation of change with the fall of the loss, given the number of steps and the learning rate."""
    return partial_rank_correlation(change, pace.fall, (pace.length, pace.rate), TREND)


def with_rate(pace: Pace, change: Floats) -> float:
    """Partial rank correlation of change with the learning rate, given the number of steps and the fall of the loss."""
    return partial_rank_correlation(change, pace.rate, (pace.length, pace.fall), TREND)


def pace_and_loss(runs: Sequence[Seen]) -> float:
    """The mean over runs of how the mean change of layers, interval by interval, goes with the fall of the loss.

    Formula: the partial rank correlation of c(k) = mean over layers of 1 − s(k − 1, k) with L(k − 1) − L(k), given log
    of the number of training steps in the interval, the learning rate at its end, and a cubic in k. L is the loss on
    dev.
    """
    return _mean(runs, with_loss)


def pace_and_rate(runs: Sequence[Seen]) -> float:
    """The mean over runs of how the mean change of layers, interval by interval, goes with the learning rate.

    Formula: as `pace_and_loss`, of c(k) with the learning rate, given log steps and the fall of the loss.
    """
    return _mean(runs, with_rate)


def _mean(runs: Sequence[Seen], relation: Relation) -> float:
    paces = [Pace.of(run) for run in runs]
    return float(np.mean([relation(pace, pace.change) for pace in paces]))


def _details(relation: Relation, left: Callable[[Pace], float]) -> Callable[[Sequence[Seen]], Mapping[str, float]]:
    """Further numbers, means over runs: what there is to correlate with, and the correlation of each layer alone."""

    def details(runs: Sequence[Seen]) -> Mapping[str, float]:
        paces = [Pace.of(run) for run in runs]
        layers = min(len(pace.by_layer) for pace in paces)
        by_layer = {
            f"layer {i}": float(np.mean([relation(pace, pace.by_layer[i]) for pace in paces])) for i in range(layers)
        }
        beside = {
            "intervals": float(np.mean([len(pace.fall) for pace in paces])),
            "share that the others leave unexplained": float(np.mean([left(pace) for pace in paces])),
            "with loss, given nothing": float(
                np.mean([partial_rank_correlation(pace.change, pace.fall) for pace in paces])
            ),
            "with learning rate, given nothing": float(
                np.mean([partial_rank_correlation(pace.change, pace.rate) for pace in paces])
            ),
        }
        return beside | by_layer

    return details


def _refusal(seen: Seen) -> str:
    intervals = seen["successive"].shape[1]
    if intervals < FEWEST_INTERVALS:
        return TooLittle(f"{intervals + 1} checkpoints, and pace against loss takes at least {FEWEST_INTERVALS + 1}")
    if not np.isfinite(seen["successive"]).all():
        return "similarities of successive checkpoints were not computed"
    if not np.isfinite(seen["dev_loss"]).all():
        return TooLittle("the loss on the development split is not known at every checkpoint")
    rate = seen["learning_rate"][1:]
    if not np.isfinite(rate).all():
        unknown = "the learning rate is not known at every checkpoint"
        return TooLittle(f"{unknown}: compare again with a version that logs it")
    return ""


def _refusal_of_rate(seen: Seen) -> str:
    if refused := _refusal(seen):
        return refused
    rate = seen["learning_rate"][1:]
    return "the learning rate was the same at every checkpoint" if np.ptp(rate) == 0 else ""


def _any_interval(runs: Sequence[Seen], random: np.random.Generator) -> Sequence[Seen]:
    """The changes of each run's layers in intervals drawn at random, the same for its layers."""
    return [run.having(successive=random.permutation(run["successive"], axis=1)) for run in runs]


READ = {name: name for name in ("successive", "dev_loss", "steps", "learning_rate")}

PACE_AND_LOSS = Question(
    id="F6-loss",
    name="pace and loss",
    claim="between checkpoints, layers change more where the loss falls more, whatever the steps and the learning rate",
    effect_is="partial rank correlation of the mean change of layers with the fall of the dev loss, over checkpoints",
    least=0.5,
    read=READ,
    effect=pace_and_loss,
    shuffle=_any_interval,
    refusal=_refusal,
    details=_details(with_loss, lambda pace: unexplained(pace.fall, (pace.length, pace.rate), TREND)),
)

PACE_AND_RATE = Question(
    id="F6-rate",
    name="pace and learning rate",
    claim="between checkpoints, layers change more where the learning rate is higher, whatever the steps and the loss",
    effect_is="partial rank correlation of the mean change of layers with the learning rate, over checkpoints",
    least=0.5,
    read=READ,
    effect=pace_and_rate,
    shuffle=_any_interval,
    refusal=_refusal_of_rate,
    details=_details(with_rate, lambda pace: unexplained(pace.rate, (pace.length, pace.fall), TREND)),
)
