"""What transformers' Trainer wrote down of its checkpoints: their epochs, losses and word error rates."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

__all__ = ["TrainerLogs", "trainer_logs"]

LOG = "trainer_state.json"

CALLED = {"epoch": "epoch", "train_loss": "loss", "dev_loss": "eval_loss", "dev_wer": "eval_wer"}
"""Our names of numbers, and the Trainer's."""

FAR = 20.0
"""More than twenty errors a word are a percentage, whatever else there is in the log."""

MOST = 2.0
"""More than two errors a word at every evaluation are one too: recognisers that learn do not stay there."""


class TrainerLogs(NamedTuple):
    """What was logged for each checkpoint, and how its error rates were read, empty where there are none."""

    of: list[dict[str, float]]
    note: str


def trainer_logs(checkpoints: Sequence[Path]) -> TrainerLogs:
    """The last logged `epoch`, `train_loss`, `dev_loss` and `dev_wer` (1.0 is 100 %) of each, as far as there are any.

    Trainings compute error rates as fractions or in per cent, and the log does not say which. It is told by all of
    them: per cent where one is above 20, or all above 2; else fractions where one is 1 or less. Where neither holds,
    `dev_wer` is left out, and the note says so.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     history = [{"loss": 3.5, "step": 5}, {"loss": 3.0, "step": 10}, {"eval_wer": 45.0, "step": 10}]
    ...     _ = Path(folder, LOG).write_text(json.dumps({"log_history": history}))
    ...     trainer_logs([Path(folder)])
    TrainerLogs(of=[{'train_loss': 3.0, 'dev_wer': 0.45}], note='eval_wer was read as per cent: it is 45 throughout')
    """
    histories = [list(_rows(checkpoint)) for checkpoint in checkpoints]
    found = [
        {ours: float(row[theirs]) for row in rows for ours, theirs in CALLED.items() if _is_number(row.get(theirs))}
        for rows in histories
    ]
    rates = [float(row["eval_wer"]) for rows in histories for row in rows if _is_number(row.get("eval_wer"))]
    if not rates:
        return TrainerLogs(found, "")
    low, high = min(rates), max(rates)
    span = f"it is {low:g} throughout" if low == high else f"it goes from {low:g} to {high:g}"
    if high > FAR or low > MOST:
        per_cent = [{**one, "dev_wer": one["dev_wer"] / 100} if "dev_wer" in one else one for one in found]
        return TrainerLogs(per_cent, f"eval_wer was read as per cent: {span}")
    if low <= 1:
        return TrainerLogs(found, f"eval_wer was read as fractions: {span}")
    without = [{name: value for name, value in one.items() if name != "dev_wer"} for one in found]
    return TrainerLogs(without, f"eval_wer was left out, for it may be fractions or per cent: {span}")


def _rows(checkpoint: Path) -> Iterator[Mapping[str, Any]]:
    try:
        history = json.loads((checkpoint / LOG).read_text(encoding="utf-8"))["log_history"]
    except (OSError, ValueError, KeyError, TypeError):  # not every trainer keeps one
        return
    yield from (row for row in history or () if isinstance(row, Mapping))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
