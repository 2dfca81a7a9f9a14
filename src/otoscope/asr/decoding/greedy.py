"""Greedy CTC decoding: the best token of each frame, repeats merged, blanks dropped (Graves et al. 2006)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from otoscope.asr.tokens import BLANK, Tokens

__all__ = ["Greedy", "greedy"]


def greedy(log_probs: Tensor, lengths: Tensor, tokens: Tokens) -> list[str]:
    """Frame-wise log-probabilities (batch, frames, tokens) and true lengths (batch,) to one text an utterance.

    Runs of spaces collapse to one and spaces at the ends are dropped.

    >>> import torch
    >>> from otoscope.asr import CharacterTokens
    >>> tokens = CharacterTokens(("A", "B"))
    >>> best = torch.tensor([[1, 1, 0, 1, 2, 2]])
    >>> greedy(torch.nn.functional.one_hot(best).float().log(), torch.tensor([5]), tokens)
    ['AAB']
    """
    texts = []
    for row, length in zip(log_probs.argmax(dim=-1).tolist(), lengths.tolist(), strict=True):
        path = row[:length]
        merged = [t for t, before in zip(path, [BLANK, *path], strict=False) if t != before and t != BLANK]
        texts.append(" ".join(tokens.decode(merged).split()))
    return texts


@dataclass(frozen=True)
class Greedy:
    """`greedy` as a `Decoder`: what every recogniser is scored with unless another is asked for."""

    tokens: Tokens

    def decode(self, log_probs: Tensor, lengths: Tensor) -> list[str]:
        """Log-probabilities (batch, frames, tokens) and true lengths (batch,) to one text an utterance."""
        return greedy(log_probs, lengths, self.tokens)
