"""A stacked bidirectional LSTM (Graves 2013), one module a layer so that each can be looked at."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from otoscope.asr.models.common import Subsample, check_sizes

__all__ = ["Lstm", "LstmConfig"]


@dataclass(frozen=True)
class LstmConfig:
    """Sizes of the LSTM: `blocks` bidirectional layers of `units` cells in each direction."""

    blocks: int = 4
    units: int = 256
    dropout: float = 0.3

    def __post_init__(self) -> None:
        check_sizes(blocks=self.blocks, units=self.units, dropout=self.dropout)


class Block(nn.Module):
    """One bidirectional layer: a forward LSTM, and another over each utterance turned round.

    Turning each utterance round within its own length keeps padding at the end for both directions, where it cannot
    reach a true frame. This gives what packed sequences give, without their slower path on a CPU.
    """

    def __init__(self, inputs: int, units: int, dropout: float) -> None:
        super().__init__()
        self.ahead = nn.LSTM(inputs, units, batch_first=True)
        self.back = nn.LSTM(inputs, units, batch_first=True)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, turn: Tensor) -> Tensor:
        """(batch, frames, inputs) and the turned-round frame order (batch, frames, 1) to (batch, frames, 2 units)."""
        x = self.dropout(x)
        ahead, _ = self.ahead(x)
        back, _ = self.back(x.gather(1, turn.expand_as(x)))
        return torch.cat([ahead, back.gather(1, turn.expand_as(back))], dim=2)


class Lstm(nn.Module):
    """Strided input convolutions, bidirectional LSTM layers, a linear output over tokens.

    `blocks.<i>` put out (batch, frames, 2 × units).
    """

    def __init__(self, bins: int, tokens: int, config: LstmConfig) -> None:
        """`bins` features in, `tokens` log-probabilities out."""
        super().__init__()
        self.subsample = Subsample(bins, config.units)
        widths = [config.units] + [2 * config.units] * (config.blocks - 1)
        self.blocks = nn.ModuleList(Block(width, config.units, config.dropout) for width in widths)
        self.norm = nn.LayerNorm(2 * config.units)
        self.dropout = nn.Dropout(config.dropout)
        self.output = nn.Linear(2 * config.units, tokens)

    def forward(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Padded features (batch, frames, bins), lengths to log-probabilities (batch, frames / 4, tokens), lengths."""
        x, lengths = self.subsample(features, lengths)
        frame = torch.arange(x.shape[1], device=x.device)
        last = lengths[:, None] - 1
        turn = torch.where(frame <= last, last - frame, frame)[:, :, None]
        for block in self.blocks:
            x = block(x, turn)
        return self.output(self.dropout(self.norm(x))).log_softmax(dim=-1), lengths
