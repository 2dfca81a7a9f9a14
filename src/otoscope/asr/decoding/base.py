"""What every decoder is: a recogniser's output in, text out."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor

from otoscope.errors import TrainingError

__all__ = ["Decoder", "Hypothesis", "flashlight", "silent"]


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """A text that a search found, with its score in nats: what it is ranked by.

    `score` = `acoustic` + language model weight × `language` + bonus × its words (or tokens, for an attention
    decoder). `acoustic` is the log-probability that the recogniser gives it, `language` what the language model does.
    """

    text: str
    score: float
    acoustic: float
    language: float = 0.0


class Decoder(Protocol):
    """Anything that turns frame-wise log-probabilities into text: `Greedy`, `BeamSearch`, or one's own."""

    def decode(self, log_probs: Tensor, lengths: Tensor) -> list[str]:
        """Log-probabilities (batch, frames, tokens) and true lengths (batch,) to one text an utterance."""
        ...


def flashlight(module: str) -> Any:
    """A module of flashlight-text, imported when first needed. Raises TrainingError where it is not installed."""
    try:
        return importlib.import_module(f"flashlight.lib.text.{module}")
    except ModuleNotFoundError as error:
        raise TrainingError(
            "Beam search needs the package flashlight-text, which is not installed. Install it: "
            "pip install 'otoscope[beam]'."
        ) from error


@contextmanager
def silent() -> Iterator[None]:
    """Standard error shut for a while, below Python too: KenLM draws a progress bar there whatever it reads."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
