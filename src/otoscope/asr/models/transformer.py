"""A pre-norm Transformer encoder (Vaswani 2017, Xiong 2020)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from otoscope.asr.models.attention import POSITIONS
from otoscope.asr.models.attention_encoder import AttentionEncoder, AttentionEncoderConfig
from otoscope.asr.models.dropout import Dropout

__all__ = ["Transformer", "TransformerConfig"]


@dataclass(frozen=True)
class TransformerConfig(AttentionEncoderConfig):
    """Sizes of the Transformer: nothing but what AttentionEncoderConfig says."""


class Block(nn.Module):
    """x + attention(norm(x)), then x + feed-forward(norm(x))."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(config.units)
        self.attention = POSITIONS[config.positions](config.units, config.heads, config.dropout)
        self.feed_forward_norm = nn.LayerNorm(config.units)
        self.feed_forward = nn.Sequential(
            nn.Linear(config.units, config.feed_forward),
            nn.GELU(),
            Dropout(config.dropout),
            nn.Linear(config.feed_forward, config.units),
        )
        self.dropout = Dropout(config.dropout)

    def forward(self, x: Tensor, mask: Tensor, table: Tensor) -> Tensor:
        """(batch, frames, units), mask (batch, frames) and the table of positions to (batch, frames, units)."""
        x = x + self.dropout(self.attention(self.attention_norm(x), mask, table))
        x = x + self.dropout(self.feed_forward(self.feed_forward_norm(x)))
        return x


class Transformer(AttentionEncoder):
    """A front end and Transformer layers. `blocks.<i>` put out (batch, frames, units)."""

    def __init__(self, bins: int, tokens: int, config: TransformerConfig) -> None:
        """`bins` features in, `tokens` log-probabilities out."""
        super().__init__(bins, tokens, config, (Block(config) for _ in range(config.blocks)))
