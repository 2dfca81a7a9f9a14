"""What an attention decoder is: tokens so far and hidden frames in, the next token's log-probabilities out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields, replace
from typing import TypeVar

import torch
from torch import Tensor, nn

from otoscope.asr.tokens import BLANK

__all__ = ["END", "AttentionDecoder", "State"]

END = BLANK
"""Begins and ends every sentence. It is CTC's blank, which an attention decoder has no other use for."""

Own = TypeVar("Own", bound="State")


@dataclass(frozen=True)
class State:
    """What a decoder remembers between two steps: tensors with the batch as their first axis.

    It is never changed: `step` returns another, so hypotheses may share one.
    """

    def select(self: Own, indices: Tensor) -> Own:
        """The state of these rows (any number of them, in any order): how a beam drops, doubles and sorts them.

        A mask of the whole batch does as well.
        """
        return replace(self, **{f.name: getattr(self, f.name)[indices] for f in fields(self)})


class AttentionDecoder(nn.Module, ABC):
    """The base of the attention decoders.

    `forward` runs over known transcripts (teacher forcing), `start` and `step` over what a search makes up; both give
    the same numbers.
    """

    @abstractmethod
    def start(self, hidden: Tensor, lengths: Tensor) -> State:
        """The state before the first token, from hidden frames (batch, frames, width) and their true lengths."""

    @abstractmethod
    def step(self, state: State, tokens: Tensor) -> tuple[Tensor, State]:
        """Feeds the last token of each row, (batch,); END at first.

        Returns log-probabilities (batch, tokens) of the next one, where that of END says the sentence is over, and
        the state after this step.
        """

    def forward(self, hidden: Tensor, lengths: Tensor, prefix: Tensor) -> Tensor:
        """Log-probabilities (batch, steps, tokens) under teacher forcing.

        `prefix` (batch, steps) holds END, then the transcript's tokens; entry [:, s] of what is returned predicts the
        token after `prefix[:, : s + 1]`. Rows are padded at their ends with any token.
        """
        state = self.start(hidden, lengths)
        steps = []
        for tokens in prefix.unbind(dim=1):
            log_probs, state = self.step(state, tokens)
            steps.append(log_probs)
        return torch.stack(steps, dim=1)
