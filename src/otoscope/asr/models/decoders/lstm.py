"""An LSTM decoder with additive attention and input feeding (Bahdanau 2015, Luong 2015, Chan 2016)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from otoscope.asr.models.common import check_sizes, frame_mask, log_probabilities
from otoscope.asr.models.decoders.base import AttentionDecoder, State
from otoscope.asr.models.dropout import Dropout

__all__ = ["LstmDecoder", "LstmDecoderConfig"]


@dataclass(frozen=True)
class LstmDecoderConfig:
    """Sizes of the LSTM decoder: `blocks` layers of `units` cells, `attention` hidden units of the attention."""

    blocks: int = 1
    units: int = 256
    attention: int = 128
    dropout: float = 0.2

    def __post_init__(self) -> None:
        check_sizes(blocks=self.blocks, units=self.units, attention=self.attention, dropout=self.dropout)


@dataclass(frozen=True)
class LstmState(State):
    """Hidden frames and what the attention makes of them; of each layer hidden and cell; the last context."""

    frames: Tensor  # (batch, frames, width)
    keys: Tensor  # (batch, frames, attention)
    mask: Tensor  # (batch, frames), True at true frames
    hidden: Tensor  # (batch, blocks, units)
    cell: Tensor  # (batch, blocks, units)
    context: Tensor  # (batch, width)


class AdditiveAttention(nn.Module):
    """The mean of the true frames, weighed by softmax(vᵀ tanh(W query + U frame + b)) (Bahdanau 2015)."""

    def __init__(self, query: int, frame: int, units: int) -> None:
        super().__init__()
        self.query = nn.Linear(query, units, bias=False)
        self.key = nn.Linear(frame, units)
        # No bias: added to the scores of all frames it would change nothing.
        self.score = nn.Linear(units, 1, bias=False)

    def forward(self, query: Tensor, frames: Tensor, keys: Tensor, mask: Tensor) -> Tensor:
        """(batch, query), frames and `self.key` of them, mask to (batch, width)."""
        scores = self.score(torch.tanh(self.query(query)[:, None] + keys))[:, :, 0]
        weights = scores.masked_fill(~mask, float("-inf")).softmax(dim=1)
        context: Tensor = (weights[:, None] @ frames.to(weights.dtype))[:, 0]
        return context


class LstmDecoder(AttentionDecoder):
    """Each step: the layers take the last token and the last context, the top one asks for a new context.

    Both then predict the next token, through one hidden layer. `blocks.<i>` are LSTM cells.
    """

    def __init__(self, width: int, tokens: int, config: LstmDecoderConfig) -> None:
        """Hidden frames of `width` units in, `tokens` log-probabilities out."""
        super().__init__()
        units = config.units
        self.embedding = nn.Embedding(tokens, units)
        self.blocks = nn.ModuleList(nn.LSTMCell(units if i else units + width, units) for i in range(config.blocks))
        self.attention = AdditiveAttention(units, width, config.attention)
        self.readout = nn.Linear(units + width, units)
        self.dropout = Dropout(config.dropout)
        self.output = nn.Linear(units, tokens)

    def start(self, hidden: Tensor, lengths: Tensor) -> LstmState:
        """The state before the first token, from hidden frames (batch, frames, width) and their true lengths."""
        batch, frames, width = hidden.shape
        zeros = hidden.new_zeros(batch, len(self.blocks), self.readout.out_features)
        mask = frame_mask(lengths, frames)
        return LstmState(hidden, self.attention.key(hidden), mask, zeros, zeros, hidden.new_zeros(batch, width))

    def step(self, state: State, tokens: Tensor) -> tuple[Tensor, LstmState]:
        """Feeds the last token of each row, (batch,): log-probabilities (batch, tokens) and the state after."""
        assert isinstance(state, LstmState)
        x = torch.cat([self.dropout(self.embedding(tokens)), state.context], dim=1)
        hidden, cell = [], []
        for i, block in enumerate(self.blocks):
            h, c = block(x, (state.hidden[:, i], state.cell[:, i]))
            hidden.append(h)
            cell.append(c)
            x = self.dropout(h)
        context = self.attention(x, state.frames, state.keys, state.mask)
        read = torch.tanh(self.readout(torch.cat([x, context], dim=1)))
        after = LstmState(
            state.frames, state.keys, state.mask, torch.stack(hidden, dim=1), torch.stack(cell, dim=1), context
        )
        return log_probabilities(self.output(self.dropout(read))), after
