"""What the Transformer and the Conformer share: settings, and how blocks of self-attention follow one another.

Beside the blocks themselves that is layer drop, CTC outputs on the way, and self-conditioning on these.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from otoscope.asr.models.attention import POSITIONS, check_attention
from otoscope.asr.models.common import check_rate, check_sizes, frame_mask
from otoscope.asr.models.dropout import Dropout
from otoscope.asr.models.front_end import check_front_end, front_end
from otoscope.asr.models.network import Encoded, Network
from otoscope.asr.settings import expect, is_whole

__all__ = ["AttentionEncoder", "AttentionEncoderConfig"]


@dataclass(frozen=True)
class AttentionEncoderConfig:
    """Sizes: `blocks` layers of `units` features, `heads` heads, `feed_forward` hidden units.

    `positions` are "rotary" or "relative". In training, each block is left out with the probability `layer_drop`
    (Fan et al. 2020). `intermediate_ctc` names blocks, from 0, whose output gets a CTC loss of its own (Lee &
    Watanabe 2021); with `self_conditioning`, what these outputs predict is added to what goes into the next block
    (Nozaki & Komatsu 2021).
    """

    blocks: int = 8
    units: int = 192
    heads: int = 4
    feed_forward: int = 768
    dropout: float = 0.1
    positions: str = "rotary"
    layer_drop: float = 0.0
    intermediate_ctc: tuple[int, ...] = ()
    self_conditioning: bool = False
    front_end: str = "conv1d"
    front_end_channels: int = 64

    def __post_init__(self) -> None:
        sizes = {"blocks": self.blocks, "units": self.units, "heads": self.heads, "feed_forward": self.feed_forward}
        check_sizes(**sizes, dropout=self.dropout)
        check_attention(self.units, self.heads, self.positions)
        check_rate("layer_drop", self.layer_drop)
        chosen = self.intermediate_ctc
        below = (
            [is_whole(i, 0) and i < self.blocks - 1 for i in chosen] if isinstance(chosen, tuple | list) else [False]
        )
        expect(
            all(below) and len(set(chosen)) == len(chosen),
            "intermediate_ctc",
            chosen,
            f"different blocks before the last, by number: 0 to {self.blocks - 2}" if self.blocks > 1 else "none",
        )
        # From JSON and TOML it comes as a list; sorted, since the network meets them in this order.
        object.__setattr__(self, "intermediate_ctc", tuple(sorted(chosen)))
        expect(isinstance(self.self_conditioning, bool), "self_conditioning", self.self_conditioning, "true or false")
        conditions = not self.self_conditioning or bool(chosen)
        expect(conditions, "self_conditioning", self.self_conditioning, "blocks in intermediate_ctc to condition on")
        check_front_end(self.front_end, self.front_end_channels)


class AttentionEncoder(Network):
    """A front end, then blocks that take frames (batch, frames, units), a mask and a table of positions."""

    def __init__(self, bins: int, tokens: int, config: AttentionEncoderConfig, blocks: Iterable[nn.Module]) -> None:
        """`bins` features in, `tokens` log-probabilities out."""
        super().__init__(config.units, tokens)
        self.heads = config.heads
        self.positions = POSITIONS[config.positions]
        self.layer_drop = config.layer_drop
        self.intermediate_ctc = config.intermediate_ctc
        self.subsample = front_end(config.front_end, bins, config.units, config.front_end_channels)
        self.dropout = Dropout(config.dropout)
        self.blocks = nn.ModuleList(blocks)
        self.conditioning = nn.Linear(tokens, config.units) if config.self_conditioning else None
        self.norm: nn.Module = nn.LayerNorm(config.units)

    def encode(self, features: Tensor, lengths: Tensor) -> Encoded:
        """Padded features (batch, frames, bins) and lengths to hidden frames."""
        dropped = self._dropped()
        x, lengths = self.subsample(features, lengths)
        x = self.dropout(x)
        mask = frame_mask(lengths, x.shape[1])
        table = self.positions.table(x.shape[1], x.shape[2], self.heads, x.device)
        intermediate = []
        for i, block in enumerate(self.blocks):
            if not dropped[i]:
                x = block(x, mask, table)
            if i in self.intermediate_ctc:
                # Through the last norm and the last output: the blocks before are to do what the last block does.
                log_probs = self.ctc(self.norm(x))
                intermediate.append(log_probs)
                if self.conditioning is not None:
                    x = x + self.conditioning(log_probs.exp().to(self.output.weight.dtype))
        return Encoded(self.norm(x), lengths, tuple(intermediate))

    def _dropped(self) -> list[bool]:
        """The blocks to leave out of this pass, drawn before all else; every part of a batch has its own."""
        if not self.training or self.layer_drop == 0:
            return [False] * len(self.blocks)
        return (torch.rand(len(self.blocks)) < self.layer_drop).tolist()
