"""What transformers' Trainer wrote down of a checkpoint: its epoch, losses and word error rate."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

__all__ = ["trainer_log"]

LOG = "trainer_state.json"

CALLED = {"epoch": "epoch", "train_loss": "loss", "dev_loss": "eval_loss", "dev_wer": "eval_wer"}
"""Our names of numbers, and the Trainer's."""

MOST_WER = 2.0
"""A word error rate above this is a percentage: trainings compute either."""


def trainer_log(checkpoint: Path) -> dict[str, float]:
    """The last logged `epoch`, `train_loss`, `dev_loss` and `dev_wer` (1.0 is 100 %), as far as there are any.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     history = [{"loss": 3.5, "step": 5}, {"loss": 3.0, "step": 10}, {"eval_wer": 45.0, "step": 10}]
    ...     _ = Path(folder, LOG).write_text(json.dumps({"log_history": history}))
    ...     trainer_log(Path(folder))
    {'train_loss': 3.0, 'dev_wer': 0.45}
    """
    try:
        rows: list[dict[str, Any]] = json.loads((checkpoint / LOG).read_text(encoding="utf-8"))["log_history"]
    except (OSError, ValueError, KeyError, TypeError):  # not every trainer keeps one
        return {}
    found = {
        ours: float(row[theirs])
        for row in rows
        for ours, theirs in CALLED.items()
        if isinstance(row.get(theirs), int | float)
    }
    if any(row.get(CALLED["dev_wer"], 0.0) > MOST_WER for row in rows) and "dev_wer" in found:
        found["dev_wer"] /= 100
    return found
