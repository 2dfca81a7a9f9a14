"""Beam search with an attention decoder, alone or jointly with CTC prefix scores (Hori et al. 2017)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from otoscope.asr.decoding.base import Hypothesis
from otoscope.asr.decoding.prefix import CtcPrefixes
from otoscope.asr.models.decoders.base import END, AttentionDecoder
from otoscope.asr.settings import expect, is_number, is_whole
from otoscope.asr.tokens import Tokens
from otoscope.errors import TrainingError

__all__ = ["AttentionSearch"]


@dataclass(frozen=True)
class AttentionSearch:
    """The best token sequences by (1 − ctc_weight) · log p_att + ctc_weight · log p_ctc + length_bonus · tokens.

    One pass: every hypothesis is scored by both at each token, CTC by its prefix probability, so that neither
    attention that skips or loops nor CTC alone leads the beam. A search ends for an utterance when no hypothesis in
    the beam can still overtake the finished ones. `beam_size=1` is greedy search.

    Args:
        tokens: the recogniser's tokens.
        beam_size: hypotheses kept after each token.
        ctc_weight: 0 (attention alone) to 1; 0.3 is common.
        length_bonus: nats for each token, which makes up for what each costs.

    Raises:
        StudyError: a setting that cannot be.

    Source: Watanabe et al., Hybrid CTC/Attention Architecture for End-to-End Speech Recognition, 2017; Hori et al.,
    Joint CTC/attention decoding for end-to-end speech recognition, ACL 2017.

    >>> from otoscope.asr import CharacterTokens
    >>> from otoscope.asr.models.decoders.lstm import LstmDecoder, LstmDecoderConfig
    >>> tokens = CharacterTokens(("A", "B"))
    >>> decoder = LstmDecoder(8, len(tokens), LstmDecoderConfig(units=4, attention=4)).eval()
    >>> len(AttentionSearch(tokens, beam_size=3).decode(decoder, torch.zeros(2, 5, 8), torch.tensor([5, 2])))
    2
    """

    tokens: Tokens
    beam_size: int = 10
    ctc_weight: float = 0.0
    length_bonus: float = 0.0

    def __post_init__(self) -> None:
        expect(is_whole(self.beam_size, 1), "beam_size", self.beam_size, "a whole number of at least 1")
        weight = self.ctc_weight
        expect(is_number(weight) and 0 <= weight <= 1, "ctc_weight", weight, "a share of 0 to 1")
        expect(is_number(self.length_bonus), "length_bonus", self.length_bonus, "a number")

    def decode(
        self, decoder: AttentionDecoder, hidden: Tensor, lengths: Tensor, log_probs: Tensor | None = None
    ) -> list[str]:
        """The best text of each utterance; arguments as of `n_best`."""
        return [best[0].text for best in self.n_best(decoder, hidden, lengths, log_probs, n=1)]

    @torch.inference_mode()
    def n_best(
        self,
        decoder: AttentionDecoder,
        hidden: Tensor,
        lengths: Tensor,
        log_probs: Tensor | None = None,
        *,
        n: int = 10,
    ) -> list[list[Hypothesis]]:
        """The best `n` different texts of each utterance, at most `beam_size` of them, best first.

        Args:
            decoder: an attention decoder, in evaluation mode.
            hidden: hidden frames (batch, frames, width) of the encoder.
            lengths: true lengths (batch,); no text has more tokens than frames.
            log_probs: CTC log-probabilities (batch, frames, tokens) of the same frames; needed where ctc_weight > 0.
            n: how many.

        Raises:
            TrainingError: ctc_weight > 0 without CTC log-probabilities.
        """
        if self.ctc_weight > 0 and log_probs is None:
            raise TrainingError(
                f"ctc_weight is {self.ctc_weight}, but no CTC log-probabilities came with the hidden frames: give "
                "log_probs, or search with ctc_weight 0"
            )
        batch, width, device = len(hidden), self.beam_size, hidden.device
        limits = lengths.to(device)
        first = torch.arange(batch, device=device).repeat_interleave(
            width
        )  # an utterance's row, once a place in its beam
        state = decoder.start(hidden, lengths).select(first)
        prefixes = (
            CtcPrefixes.start(log_probs[first], limits[first]) if self.ctc_weight and log_probs is not None else None
        )
        last = torch.full((batch * width,), END, device=device)
        texts = torch.empty(batch * width, 0, dtype=torch.long, device=device)
        attention = torch.zeros(batch, width, dtype=torch.float64, device=device)
        alive = torch.arange(width, device=device).expand(batch, width) == 0  # of the empty hypotheses, one
        finished: list[list[Hypothesis]] = [[] for _ in range(batch)]
        for step in range(int(limits.max()) + 1):
            step_log_probs, state = decoder.step(state, last)
            by_attention = attention[:, :, None] + step_log_probs.double().view(batch, width, -1)
            by_ctc, steps = (None, None) if prefixes is None else prefixes.scores()
            total = self._combined(by_attention, by_ctc, step).masked_fill(~alive[:, :, None], -math.inf)
            total[limits <= step, :, END + 1 :] = -math.inf  # as many tokens as frames: it ends here
            scores, chosen = total.flatten(1).topk(width, dim=1)
            tokens = chosen % total.shape[2]
            rows = chosen // total.shape[2] + torch.arange(batch, device=device)[:, None] * width
            possible = scores > -math.inf
            for u, k in (possible & (tokens == END)).nonzero().tolist():
                text = " ".join(self.tokens.decode(texts[rows[u, k]].tolist()).split())
                score = float(scores[u, k])
                finished[u].append(Hypothesis(text, score, score - self.length_bonus * step))
            alive = possible & (tokens != END)
            # Every further token can only cost, but for its bonus.
            reach = scores.masked_fill(~alive, -math.inf).max(dim=1).values
            reach += max(self.length_bonus, 0.0) * (limits - step - 1)
            alive &= torch.tensor([_worst(f, width) < r for f, r in zip(finished, reach.tolist(), strict=True)])[
                :, None
            ].to(device)
            if not alive.any():
                break
            attention = by_attention.flatten(1).gather(1, chosen)
            last, rows = tokens.flatten(), rows.flatten()
            state = state.select(rows)
            texts = torch.cat([texts[rows], last[:, None]], dim=1)
            if prefixes is not None and steps is not None:
                prefixes = prefixes.follow(steps, rows, last)
        return [_different(found)[: min(n, width)] for found in finished]

    def _combined(self, by_attention: Tensor, by_ctc: Tensor | None, step: int) -> Tensor:
        """The scores of all continuations, (batch, beam, tokens). A part of weight 0 may be −∞: it is left out."""
        total = torch.zeros_like(by_attention)
        if self.ctc_weight < 1:
            total += (1 - self.ctc_weight) * by_attention
        if by_ctc is not None:
            total += self.ctc_weight * by_ctc.double().view_as(total)
        total += self.length_bonus * step
        total[:, :, END + 1 :] += self.length_bonus
        return total


def _worst(found: list[Hypothesis], width: int) -> float:
    """The score that a hypothesis must beat to be among the best `width`."""
    return sorted((h.score for h in found), reverse=True)[width - 1] if len(found) >= width else -math.inf


def _different(found: list[Hypothesis]) -> list[Hypothesis]:
    """The hypotheses best first; of those that differ in tokens but not in text, the best."""
    best: dict[str, Hypothesis] = {}
    for hypothesis in sorted(found, key=lambda h: -h.score):
        best.setdefault(hypothesis.text, hypothesis)
    return list(best.values())
