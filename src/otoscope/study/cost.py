"""What things cost on this machine, from a few timed runs: for plans, and to start the longest training first."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch

from otoscope.asr import FRAME_SHIFT_SECONDS, MEL_BINS, ReferenceRecogniser

__all__ = ["TIMED_SECONDS", "one_thread_seconds", "step_seconds"]

TIMED_SECONDS = 60.0
"""Speech in a timed batch at the most: batches meant for a GPU would take minutes, and their cost goes by length."""


def step_seconds(recogniser: ReferenceRecogniser, batch_seconds: float) -> tuple[float, float]:
    """Seconds of one training step and of one forward pass on one thread, over a batch of utterances of 3 s."""
    frames = round(3 / FRAME_SHIFT_SECONDS)
    count = max(1, round(batch_seconds / 3))
    features, lengths = torch.randn(count, frames, MEL_BINS), torch.full((count,), frames)

    def forward() -> torch.Tensor:
        return recogniser.forward(features, lengths)[0]

    def step() -> None:
        forward().sum().backward()  # type: ignore[no-untyped-call]

    both, alone = one_thread_seconds(step), one_thread_seconds(forward)
    return both * 1.15, alone  # the optimiser, the features and the CTC loss come on top


def one_thread_seconds(work: Callable[[], Any]) -> float:
    """Wall seconds of `work` on one thread, the second time it runs."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        work()
        started = time.perf_counter()
        work()
        return time.perf_counter() - started
    finally:
        torch.set_num_threads(threads)
