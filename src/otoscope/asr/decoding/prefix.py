"""CTC prefix scores: how likely it is that what was said begins with these tokens (Watanabe et al. 2017)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from otoscope.asr.tokens import BLANK

__all__ = ["CtcPrefixes"]


@dataclass(frozen=True)
class CtcPrefixes:
    """One prefix of tokens a row, with what CTC needs to score its continuations.

    ψ(g c) = log Σ p(text | speech) over all texts that begin with the tokens g c; ψ(g, end) = log p(g | speech), the
    negative CTC loss of g. With γ_t the log-probability of g by frame t, ending in its last token (n) or a blank (b),
    ψ(g c) = log Σ_t p(c at t) [γ_{t−1}(g, b) + γ_{t−1}(g, n) unless c repeats the last token of g].

    Made by `start`, continued by `scores` and `follow`. Frames beyond an utterance's length count for nothing.

    >>> heard = torch.tensor([[[0.2, 0.7, 0.1], [0.5, 0.1, 0.4]]]).log()
    >>> scores, steps = CtcPrefixes.start(heard, torch.tensor([2])).scores()
    >>> [round(p, 2) for p in scores[0].exp().tolist()]  # nothing; begins with token 1; with token 2
    [0.1, 0.72, 0.18]
    """

    frames: Tensor  # (rows, frames, tokens): log-probabilities, those of padding all blank
    forward: Tensor  # (rows, frames, 2): γ of the prefix by each frame, ending in a token or in a blank
    last: Tensor  # (rows,): the prefix's last token; the blank where it has none

    @classmethod
    def start(cls, log_probs: Tensor, lengths: Tensor) -> CtcPrefixes:
        """Empty prefixes, one a row, of log-probabilities (rows, frames, tokens) with true lengths (rows,)."""
        padding = torch.arange(log_probs.shape[1], device=log_probs.device) >= lengths.to(log_probs.device)[:, None]
        frames = log_probs.masked_fill(padding[:, :, None], -math.inf)
        frames[:, :, BLANK] = log_probs[:, :, BLANK].masked_fill(padding, 0.0)
        blanks = frames[:, :, BLANK].cumsum(dim=1)
        forward = torch.stack([torch.full_like(blanks, -math.inf), blanks], dim=2)
        return cls(frames, forward, torch.full_like(lengths, BLANK))

    def scores(self) -> tuple[Tensor, Tensor]:
        """ψ of every continuation, (rows, tokens), that of the end at index 0, and what `follow` needs of it."""
        empty = self.last == BLANK
        rows, tokens = self.frames.shape[0], self.frames.shape[2]
        repeats = torch.arange(tokens, device=self.last.device) == self.last[:, None]
        token = torch.where(empty[:, None], self.frames[:, 0], -math.inf)
        blank = torch.full_like(token, -math.inf)
        score = token
        steps = [torch.stack([token, blank], dim=1)]
        for t in range(1, self.frames.shape[1]):
            ended_in_token, ended_in_blank = self.forward[:, t - 1].unbind(dim=1)
            before = torch.logaddexp(ended_in_token, ended_in_blank)[:, None].expand(rows, tokens)
            before = torch.where(repeats, ended_in_blank[:, None], before)
            here = self.frames[:, t]
            blank = torch.logaddexp(blank, token) + here[:, BLANK, None]
            token = torch.logaddexp(token, before) + here
            score = torch.logaddexp(score, before + here)
            steps.append(torch.stack([token, blank], dim=1))
        score = score.clone()
        score[:, BLANK] = self.forward[:, -1].logsumexp(dim=1)
        return score, torch.stack(steps, dim=1)

    def follow(self, steps: Tensor, rows: Tensor, tokens: Tensor) -> CtcPrefixes:
        """The prefixes of these rows, each with one more token; `steps` is what `scores` gave beside the scores."""
        return CtcPrefixes(self.frames[rows], steps[rows, :, :, tokens], tokens)
