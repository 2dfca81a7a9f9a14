"""What a command says of runs that failed, and the exit code with which it then ends."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from otoscope.study.missing import Missing

__all__ = ["INCOMPLETE", "end_incomplete", "missing_lines"]

INCOMPLETE = 3
"""The exit code of a study that is there but for what failed."""


def missing_lines(missing: Sequence[Missing]) -> list[str]:
    """One line for each run or comparison that is missing, with the reason.

    >>> missing_lines([Missing("cnn/seed0", "training", "TrainingError: the loss is nan")])
    ['missing: cnn/seed0: training failed: TrainingError: the loss is nan']
    """
    named = [(f"{m.run}, {m.part}" if m.part else m.run, m) for m in missing]
    return [f"missing: {what}: {m.stage} failed: {m.reason}" for what, m in named]


def end_incomplete(missing: int) -> None:
    """Ends the command with exit code 3 where something is missing."""
    if missing:
        print(f"{missing} missing: the same command tries again", file=sys.stderr)
        sys.exit(INCOMPLETE)
