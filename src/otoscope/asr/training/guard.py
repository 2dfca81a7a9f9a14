"""Stops a training that has gone wrong, and says at which step, on which utterances, and what is still good."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from otoscope.errors import TrainingError

__all__ = ["Guard"]

WINDOW = 100
"""Updates whose median says what loss is usual."""

TIMES = 5.0
"""How many times the usual loss is too much. A batch of hard utterances reads at most about twice."""

LEAST = 1.0
"""What counts as usual at the least, in nats a second of speech: far below any loss that a divergence leaves."""

STEPS = 10
"""Updates in a row above that: a single bad batch is no divergence."""

NAMED = 10
"""Utterances that a message names at most."""


class Guard:
    """Watches loss and gradient of each update.

    What is usual is the running median of the loss a second of speech, for batches differ in length. Losses that are
    too high do not enter it, so that a divergence cannot become the usual.
    """

    def __init__(self, folder: Path) -> None:
        """`folder` is the run's, whose good checkpoints are named."""
        self._folder = folder
        self._usual: deque[float] = deque(maxlen=WINDOW)
        self._over: list[int] = []
        self._kept: list[int] = []

    def refuse(self, step: int, loss: float, gradient_norm: float, utterances: Sequence[str]) -> None:
        """Raises TrainingError: a loss or a gradient that is not finite must not reach the weights.

        `utterances` are those whose own loss is not finite, or all of the batch where only the gradient is not.
        """
        if not math.isfinite(loss):
            raise TrainingError(
                f"the loss at step {step} is {loss} (not finite on: {_list(utterances)}). {self._good(step)}. A lower "
                "peak_learning_rate or clip often helps; an infinite loss on single utterances means transcripts "
                "longer than their speech allows, NaN on single utterances features that are not finite"
            )
        raise TrainingError(
            f"the gradient at step {step} is not finite (norm {gradient_norm}), the loss is: {loss:.5g}. The batch "
            f"was: {_list(utterances)}. {self._good(step)}. Lower peak_learning_rate, or train in precision float32"
        )

    def note(self, row: Mapping[str, Any], batch: Sequence[str] = ()) -> None:
        """Takes a row of the log; raises TrainingError where the loss explodes."""
        step = row["step"]
        if row["kind"] == "checkpoint":
            self._kept.append(step)
            return
        loss = row["loss"] * row["utterances"] / row.get("speech_seconds", row["utterances"])
        if self._usual and loss > TIMES * max(LEAST, median(self._usual)):
            self._over.append(step)
        else:
            self._usual.append(loss)
            self._over.clear()
        if len(self._over) >= STEPS:
            raise TrainingError(
                f"the loss at step {step} has been above {TIMES:g} times its running median for {STEPS} updates: "
                f"{loss:.4g} nats a second of speech where {median(self._usual):.4g} is usual. Training diverges; the "
                f"last batch was: {_list(batch)}. {self._good(self._over[0])}. Lower peak_learning_rate or clip, or "
                "lengthen warmup"
            )

    def _good(self, step: int) -> str:
        """Which checkpoints were made before this step."""
        kept = [s for s in self._kept if s < step]
        where = self._folder / "checkpoints"
        return f"The last good checkpoint is {where / f'step-{kept[-1]:06d}.safetensors'}" if kept else "None is good"


def _list(utterances: Sequence[str]) -> str:
    more = len(utterances) - NAMED
    return ", ".join(utterances[:NAMED]) + (f" and {more} more" if more > 0 else "")
