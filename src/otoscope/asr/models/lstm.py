"""A stacked LSTM, bidirectional (Graves 2013) or not, one module a layer so that each can be looked at."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from otoscope.asr.models.common import check_sizes
from otoscope.asr.models.dropout import Dropout
from otoscope.asr.models.encoder_config import EncoderConfig
from otoscope.asr.models.front_end import front_end
from otoscope.asr.models.network import Encoded, Network
from otoscope.asr.settings import expect

__all__ = ["Lstm", "LstmConfig"]


@dataclass(frozen=True)
class LstmConfig(EncoderConfig):
    """Sizes of the LSTM: `blocks` layers of `units` cells in each direction.

    Without `bidirectional`, a layer sees the past only; the front end still sees some frames ahead. The rest is as in
    `EncoderConfig`.
    """

    blocks: int = 4
    units: int = 256
    dropout: float = 0.3
    bidirectional: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check_sizes(units=self.units, dropout=self.dropout)
        expect(isinstance(self.bidirectional, bool), "bidirectional", self.bidirectional, "true or false")


class Block(nn.Module):
    """One layer: a forward LSTM and, where it is bidirectional, another over each utterance turned round.

    Turning each utterance round within its own length keeps padding at the end for both directions, where it cannot
    reach a true frame. This gives what packed sequences give, without their slower path on a CPU.
    """

    def __init__(self, inputs: int, units: int, dropout: float, *, bidirectional: bool = True) -> None:
        super().__init__()
        self.ahead = nn.LSTM(inputs, units, batch_first=True)
        self.back = nn.LSTM(inputs, units, batch_first=True) if bidirectional else None
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, turn: Tensor) -> Tensor:
        """(batch, frames, inputs) and the turned-round frame order (batch, frames, 1) to (batch, frames, width)."""
        x = self.dropout(x)
        ahead: Tensor = self.ahead(x)[0]
        if self.back is None:
            return ahead
        back, _ = self.back(x.gather(1, turn.expand_as(x)))
        return torch.cat([ahead, back.gather(1, turn.expand_as(back))], dim=2)


class Lstm(Network):
    """A front end and LSTM layers. `blocks.<i>` put out (batch, frames, `units` for each direction)."""

    def __init__(self, bins: int, tokens: int, config: LstmConfig) -> None:
        """`bins` features in, `tokens` log-probabilities out."""
        width = config.units * (2 if config.bidirectional else 1)
        super().__init__(width, tokens, config)
        self.subsample = front_end(config.front_end, bins, config.units, config.front_end_channels)
        self.blocks = nn.ModuleList(
            Block(width if i else config.units, config.units, config.dropout, bidirectional=config.bidirectional)
            for i in range(config.blocks)
        )
        self.norm = nn.LayerNorm(width)
        self.dropout = Dropout(config.dropout)

    def encode(self, features: Tensor, lengths: Tensor) -> Encoded:
        """Padded features (batch, frames, bins) and lengths to hidden frames."""
        x, lengths = self.subsample(features, lengths)
        frame = torch.arange(x.shape[1], device=x.device)
        last = lengths[:, None] - 1
        turn = torch.where(frame <= last, last - frame, frame)[:, :, None]
        intermediate: list[Tensor] = []
        for i, block in enumerate(self.blocks):
            x = self.on_the_way(i, block(x, turn), intermediate)
        return Encoded(self.dropout(self.norm(x)), lengths, tuple(intermediate))
