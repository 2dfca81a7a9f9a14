"""When training ends early, and which model it ends with."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from otoscope.asr.recogniser import ReferenceRecogniser
from otoscope.asr.schedule import regular_from
from otoscope.asr.training.averaging import MovingAverage, mean_of
from otoscope.asr.training.config import TrainingConfig
from otoscope.asr.training.log import checkpoint_name

__all__ = ["AVERAGED", "averaged_model", "chosen", "ended_early"]

AVERAGED = "averaged.safetensors"

Row = Mapping[str, Any]
"""What the log says of a checkpoint."""


def ended_early(rows: Sequence[Row], *, patience: int, total: int) -> bool:
    """Whether the last `patience` checkpoints brought nothing better than one before them; never where it is 0.

    Only regular checkpoints count: those of the first eighth of training lie close together, and most recognisers have
    not begun to spell then. Of equal WER the lower loss is better, which is what moves while every word is wrong.
    """
    if not patience or not rows:
        return False
    best = max(min(rows, key=_quality)["step"], regular_from(total))
    return len([row for row in rows if row["step"] > best]) >= patience


def chosen(rows: Sequence[Row], config: TrainingConfig) -> list[Row]:
    """The checkpoints that the final model is the mean of, in order of steps."""
    count = config.average or 1
    last = config.average_of == "last" or not (config.average or config.patience)
    picked = list(rows)[-count:] if last else sorted(rows, key=_quality)[:count]
    return sorted(picked, key=lambda row: int(row["step"]))


def averaged_model(
    folder: Path, rows: Sequence[Row], config: TrainingConfig, moving: MovingAverage | None
) -> ReferenceRecogniser | None:
    """The averaged model of a run that has come to its end, on the CPU; None where it is a checkpoint as it is.

    `folder` holds the checkpoints of `rows`.
    """
    names = [folder / checkpoint_name(row["step"]) for row in chosen(rows, config)]
    if moving is not None:
        recogniser = ReferenceRecogniser.load(folder / checkpoint_name(rows[-1]["step"]))
        moving.apply(recogniser.module)
        return recogniser
    return mean_of(names) if len(names) > 1 else None


def _quality(row: Row) -> tuple[float, float]:
    """Lower is better; of equals, the first."""
    wer, loss = (math.inf if math.isnan(row[name]) else row[name] for name in ("dev_wer", "dev_loss"))
    return wer, loss
