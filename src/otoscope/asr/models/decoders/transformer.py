"""A pre-norm Transformer decoder (Vaswani 2017, Xiong 2020)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from otoscope.asr.models.attention import sinusoids
from otoscope.asr.models.common import check_sizes, frame_mask, log_probabilities
from otoscope.asr.models.decoders.base import AttentionDecoder, State
from otoscope.asr.models.dropout import Dropout
from otoscope.asr.settings import expect

__all__ = ["TransformerDecoder", "TransformerDecoderConfig"]


@dataclass(frozen=True)
class TransformerDecoderConfig:
    """Sizes of the Transformer decoder: `blocks` layers of `units` features, `heads` heads, `feed_forward` units."""

    blocks: int = 2
    units: int = 192
    heads: int = 4
    feed_forward: int = 768
    dropout: float = 0.1

    def __post_init__(self) -> None:
        sizes = {"blocks": self.blocks, "units": self.units, "heads": self.heads, "feed_forward": self.feed_forward}
        check_sizes(**sizes, dropout=self.dropout)
        fits = self.units % (2 * self.heads) == 0
        expect(fits, "heads", self.heads, f"a number that divides units = {self.units} into heads of even width")


@dataclass(frozen=True)
class TransformerState(State):
    """What each block attends to: keys and values of the hidden frames, and of the tokens so far."""

    memory: Tensor  # (batch, blocks, 2, heads, frames, width)
    mask: Tensor  # (batch, frames), True at true frames
    past: Tensor  # (batch, blocks, 2, heads, steps, width)


class Attention(nn.Module):
    """Multi-head attention whose keys and values are made apart from its queries, so that they can be kept."""

    def __init__(self, units: int, memory: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.dropout = dropout
        self.query = nn.Linear(units, units)
        self.memory = nn.Linear(memory, 2 * units)
        self.output = nn.Linear(units, units)

    def keys_and_values(self, x: Tensor) -> Tensor:
        """(batch, positions, memory) to (batch, 2, heads, positions, width)."""
        split: Tensor = self.memory(x).unflatten(2, (2, self.heads, -1)).permute(0, 2, 3, 1, 4)
        return split

    def forward(self, x: Tensor, kept: Tensor, mask: Tensor | None) -> Tensor:
        """Queries (batch, steps, units), keys and values, mask (… steps, positions) to (batch, steps, units)."""
        query = self.query(x).unflatten(2, (self.heads, -1)).transpose(1, 2)
        mixed = nn.functional.scaled_dot_product_attention(
            query,
            kept[:, 0].to(query.dtype),
            kept[:, 1].to(query.dtype),
            attn_mask=mask,
            dropout_p=self.dropout if self.training else 0.0,
        )
        attended: Tensor = self.output(mixed.transpose(1, 2).flatten(2))
        return attended


class Block(nn.Module):
    """x + self-attention(norm(x)), x + attention to the frames(norm(x)), x + feed-forward(norm(x))."""

    def __init__(self, width: int, config: TransformerDecoderConfig) -> None:
        super().__init__()
        units = config.units
        self.self_attention_norm = nn.LayerNorm(units)
        self.self_attention = Attention(units, units, config.heads, config.dropout)
        self.attention_norm = nn.LayerNorm(units)
        self.attention = Attention(units, width, config.heads, config.dropout)
        self.feed_forward_norm = nn.LayerNorm(units)
        self.feed_forward = nn.Sequential(
            nn.Linear(units, config.feed_forward),
            nn.GELU(),
            Dropout(config.dropout),
            nn.Linear(config.feed_forward, units),
        )
        self.dropout = Dropout(config.dropout)

    def forward(self, x: Tensor, memory: Tensor, mask: Tensor, past: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
        """New steps (batch, steps, units), with what came before them.

        `memory` and `mask` are those of the hidden frames, `past` keys and values of earlier steps, `seen`
        (steps, earlier + steps) says which steps each may look at. Returns the steps' outputs, and `past` with theirs.
        """
        normed = self.self_attention_norm(x)
        own = self.self_attention.keys_and_values(normed)
        past = torch.cat([past.to(own.dtype), own], dim=3)
        x = x + self.dropout(self.self_attention(normed, past, seen))
        x = x + self.dropout(self.attention(self.attention_norm(x), memory, mask[:, None, None]))
        x = x + self.dropout(self.feed_forward(self.feed_forward_norm(x)))
        return x, past


class TransformerDecoder(AttentionDecoder):
    """Embedded tokens and sinusoidal positions through blocks. `blocks.<i>` put out (batch, steps, units) first."""

    def __init__(self, width: int, tokens: int, config: TransformerDecoderConfig) -> None:
        """Hidden frames of `width` units in, `tokens` log-probabilities out."""
        super().__init__()
        self.heads = config.heads
        self.embedding = nn.Embedding(tokens, config.units)
        # At this size, times √units below, tokens are as large as their positions.
        nn.init.normal_(self.embedding.weight, std=config.units**-0.5)
        self.dropout = Dropout(config.dropout)
        self.blocks = nn.ModuleList(Block(width, config) for _ in range(config.blocks))
        self.norm = nn.LayerNorm(config.units)
        self.output = nn.Linear(config.units, tokens)

    def start(self, hidden: Tensor, lengths: Tensor) -> TransformerState:
        """The state before the first token, from hidden frames (batch, frames, width) and their true lengths."""
        kept = [block.attention.keys_and_values(hidden) for block in cast(Iterable[Block], self.blocks)]
        memory = torch.stack(kept, dim=1)
        past = memory.new_zeros(*memory.shape[:4], 0, memory.shape[5])
        return TransformerState(memory, frame_mask(lengths, hidden.shape[1]), past)

    def step(self, state: State, tokens: Tensor) -> tuple[Tensor, TransformerState]:
        """Feeds the last token of each row, (batch,): log-probabilities (batch, tokens) and the state after."""
        assert isinstance(state, TransformerState)
        log_probs, after = self._steps(state, tokens[:, None])
        return log_probs[:, 0], after

    def forward(self, hidden: Tensor, lengths: Tensor, prefix: Tensor) -> Tensor:
        """Log-probabilities (batch, steps, tokens) under teacher forcing, all steps at once; see AttentionDecoder."""
        return self._steps(self.start(hidden, lengths), prefix)[0]

    def _steps(self, state: TransformerState, tokens: Tensor) -> tuple[Tensor, TransformerState]:
        """Feeds tokens (batch, steps), which follow those that the state has seen."""
        before, steps = state.past.shape[4], tokens.shape[1]
        units = self.embedding.embedding_dim
        at = torch.arange(before, before + steps, device=tokens.device)
        embedded = self.embedding(tokens) * units**0.5
        x = self.dropout(embedded + torch.cat(sinusoids(at, units), dim=1).to(embedded.dtype))
        seen = torch.arange(before + steps, device=tokens.device) <= at[:, None]
        past = []
        for i, block in enumerate(self.blocks):
            x, kept = block(x, state.memory[:, i], state.mask, state.past[:, i], seen)
            past.append(kept)
        after = TransformerState(state.memory, state.mask, torch.stack(past, dim=1))
        return log_probabilities(self.output(self.norm(x))), after
