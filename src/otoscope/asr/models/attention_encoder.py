"""What the Transformer and the Conformer share: settings, and how blocks of self-attention follow one another.

Beside the blocks themselves that is layer drop.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from otoscope.asr.models.attention import POSITIONS, check_attention
from otoscope.asr.models.common import check_rate, check_sizes, frame_mask
from otoscope.asr.models.dropout import Dropout
from otoscope.asr.models.encoder_config import EncoderConfig
from otoscope.asr.models.front_end import front_end
from otoscope.asr.models.network import Encoded, Network

__all__ = ["AttentionEncoder", "AttentionEncoderConfig"]


@dataclass(frozen=True)
class AttentionEncoderConfig(EncoderConfig):
    """Sizes: `blocks` layers of `units` features, `heads` heads, `feed_forward` hidden units.

    `positions` are "rotary" or "relative". In training, each block is left out with the probability `layer_drop`
    (Fan et al. 2020). The rest is as in `EncoderConfig`.
    """

    units: int = 192
    heads: int = 4
    feed_forward: int = 768
    positions: str = "rotary"
    layer_drop: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_sizes(units=self.units, heads=self.heads, feed_forward=self.feed_forward, dropout=self.dropout)
        check_attention(self.units, self.heads, self.positions)
        check_rate("layer_drop", self.layer_drop)


class AttentionEncoder(Network):
    """A front end, then blocks that take frames (batch, frames, units), a mask and a table of positions."""

    def __init__(self, bins: int, tokens: int, config: AttentionEncoderConfig, blocks: Iterable[nn.Module]) -> None:
        """`bins` features in, `tokens` log-probabilities out."""
        super().__init__(config.units, tokens, config)
        self.heads = config.heads
        self.positions = POSITIONS[config.positions]
        self.layer_drop = config.layer_drop
        self.subsample = front_end(config.front_end, bins, config.units, config.front_end_channels)
        self.dropout = Dropout(config.dropout)
        self.blocks = nn.ModuleList(blocks)
        self.norm: nn.Module = nn.LayerNorm(config.units)

    def encode(self, features: Tensor, lengths: Tensor) -> Encoded:
        """Padded features (batch, frames, bins) and lengths to hidden frames."""
        dropped = self._dropped()
        x, lengths = self.subsample(features, lengths)
        x = self.dropout(x)
        mask = frame_mask(lengths, x.shape[1])
        table = self.positions.table(x.shape[1], x.shape[2], self.heads, x.device)
        intermediate: list[Tensor] = []
        for i, block in enumerate(self.blocks):
            if not dropped[i]:
                x = block(x, mask, table)
            x = self.on_the_way(i, x, intermediate)
        return Encoded(self.norm(x), lengths, tuple(intermediate))

    def _dropped(self) -> list[bool]:
        """The blocks to leave out of this pass, drawn before all else; every part of a batch has its own."""
        if not self.training or self.layer_drop == 0:
            return [False] * len(self.blocks)
        return (torch.rand(len(self.blocks)) < self.layer_drop).tolist()
