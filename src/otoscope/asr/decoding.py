"""Greedy CTC decoding: the best token of each frame, repeats merged, blanks dropped (Graves et al. 2006)."""

from __future__ import annotations

from torch import Tensor

from otoscope.asr.tokens import BLANK, CharacterTokens

__all__ = ["greedy"]


def greedy(log_probs: Tensor, lengths: Tensor, tokens: CharacterTokens) -> list[str]:
    """Frame-wise log-probabilities (batch, frames, tokens) and true lengths (batch,) to one text an utterance.

    Runs of spaces collapse to one and spaces at the ends are dropped.

    >>> import torch
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
