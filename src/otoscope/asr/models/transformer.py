"""A pre-norm Transformer encoder with rotary positions (Vaswani 2017, Xiong 2020, Su 2021)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from otoscope.asr.models.common import Subsample, check_sizes, frame_mask
from otoscope.asr.settings import expect

__all__ = ["Transformer", "TransformerConfig"]


@dataclass(frozen=True)
class TransformerConfig:
    """Sizes of the Transformer: `blocks` layers of `units` features, `heads` heads, `feed_forward` hidden units."""

    blocks: int = 8
    units: int = 192
    heads: int = 4
    feed_forward: int = 768
    dropout: float = 0.1

    def __post_init__(self) -> None:
        sizes = {"blocks": self.blocks, "units": self.units, "heads": self.heads, "feed_forward": self.feed_forward}
        check_sizes(**sizes, dropout=self.dropout)
        # Rotary positions turn pairs of a head's features.
        fits = self.units % (2 * self.heads) == 0
        expect(fits, "heads", self.heads, f"a number that divides units = {self.units} into heads of even width")


def rotation(frames: int, width: int) -> tuple[Tensor, Tensor]:
    """Cosines and sines (frames, width / 2) that turn pairs of features by an angle that grows with time."""
    rate = 10_000.0 ** (-torch.arange(0, width, 2) / width)
    angle = torch.arange(frames)[:, None] * rate
    return angle.cos(), angle.sin()


def rotate(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Rotary positions: products of queries and keys then depend on how far apart two frames are, not on where."""
    first, second = x.chunk(2, dim=-1)
    return torch.cat([first * cosine - second * sine, first * sine + second * cosine], dim=-1)


class Attention(nn.Module):
    """Multi-head self-attention among the true frames of each utterance."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.dropout = config.dropout
        self.inputs = nn.Linear(config.units, 3 * config.units)
        self.output = nn.Linear(config.units, config.units)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(batch, frames, units) and mask (batch, frames) to the same shape."""
        batch, frames, units = x.shape
        split = self.inputs(x).view(batch, frames, 3, self.heads, units // self.heads)
        query, key, value = split.permute(2, 0, 3, 1, 4)
        turn = rotation(frames, units // self.heads)
        mixed = nn.functional.scaled_dot_product_attention(
            rotate(query, *turn),
            rotate(key, *turn),
            value,
            attn_mask=mask[:, None, None],
            dropout_p=self.dropout if self.training else 0.0,
        )
        attended: Tensor = self.output(mixed.transpose(1, 2).reshape(batch, frames, units))
        return attended


class Block(nn.Module):
    """x + attention(norm(x)), then x + feed-forward(norm(x))."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(config.units)
        self.attention = Attention(config)
        self.feed_forward_norm = nn.LayerNorm(config.units)
        self.feed_forward = nn.Sequential(
            nn.Linear(config.units, config.feed_forward),
            nn.GELU(),
            nn.Dropout(config.dropout),
            nn.Linear(config.feed_forward, config.units),
        )
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(batch, frames, units) and mask (batch, frames) to the same shape."""
        x = x + self.dropout(self.attention(self.attention_norm(x), mask))
        x = x + self.dropout(self.feed_forward(self.feed_forward_norm(x)))
        return x


class Transformer(nn.Module):
    """Strided input convolutions, Transformer layers, a linear output over tokens.

    `blocks.<i>` put out (batch, frames, units).
    """

    def __init__(self, bins: int, tokens: int, config: TransformerConfig) -> None:
        """`bins` features in, `tokens` log-probabilities out."""
        super().__init__()
        self.subsample = Subsample(bins, config.units)
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.blocks))
        self.norm = nn.LayerNorm(config.units)
        self.output = nn.Linear(config.units, tokens)

    def forward(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Padded features (batch, frames, bins), lengths to log-probabilities (batch, frames / 4, tokens), lengths."""
        x, lengths = self.subsample(features, lengths)
        x = self.dropout(x)
        mask = frame_mask(lengths, x.shape[1])
        for block in self.blocks:
            x = block(x, mask)
        return self.output(self.norm(x)).log_softmax(dim=-1), lengths
