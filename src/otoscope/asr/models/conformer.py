"""The Conformer encoder: self-attention and convolution between two half feed-forward layers (Gulati et al. 2020)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from otoscope.asr.models.attention import POSITIONS
from otoscope.asr.models.attention_encoder import AttentionEncoder, AttentionEncoderConfig
from otoscope.asr.models.common import check_sizes
from otoscope.asr.models.dropout import Dropout
from otoscope.asr.settings import expect

__all__ = ["Conformer", "ConformerConfig"]


@dataclass(frozen=True)
class ConformerConfig(AttentionEncoderConfig):
    """Sizes as those of the Transformer, and `kernel`: the frames of 40 ms that the convolution of a block spans."""

    units: int = 144
    feed_forward: int = 576
    positions: str = "relative"
    kernel: int = 15

    def __post_init__(self) -> None:
        super().__post_init__()
        check_sizes(kernel=self.kernel, dropout=self.dropout)
        expect(self.kernel % 2 == 1, "kernel", self.kernel, "an odd number of frames")


class FeedForward(nn.Sequential):
    """linear(swish(linear(norm(x)))), with dropout after each."""

    def __init__(self, config: ConformerConfig) -> None:
        super().__init__(
            nn.LayerNorm(config.units),
            nn.Linear(config.units, config.feed_forward),
            nn.SiLU(),
            Dropout(config.dropout),
            nn.Linear(config.feed_forward, config.units),
            Dropout(config.dropout),
        )


class Convolution(nn.Module):
    """pointwise(swish(norm(depthwise(glu(pointwise(norm(x)))))), over (batch, frames, units).

    The norm in the middle is over the units of each frame. Gulati et al. have batch normalisation there: its
    statistics would be taken over padding too, or over a mask of it, and either way an utterance's output would depend
    on its batch in training and on running averages after. What is compared here must depend on the utterance alone.
    """

    def __init__(self, config: ConformerConfig) -> None:
        super().__init__()
        units = config.units
        self.norm = nn.LayerNorm(units)
        self.gate = nn.Linear(units, 2 * units)
        self.depthwise = nn.Conv1d(units, units, config.kernel, padding=config.kernel // 2, groups=units)
        self.middle_norm = nn.LayerNorm(units)
        self.output = nn.Linear(units, units)
        self.dropout = Dropout(config.dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(batch, frames, units) and mask (batch, frames) to the same shape."""
        # Set to zero beyond the true length, as the zero padding at the end of a lone utterance is.
        gated = nn.functional.glu(self.gate(self.norm(x)), dim=2) * mask[:, :, None]
        mixed = self.depthwise(gated.transpose(1, 2)).transpose(1, 2)
        convolved: Tensor = self.dropout(self.output(nn.functional.silu(self.middle_norm(mixed))))
        return convolved


class Block(nn.Module):
    """Half a feed-forward step, self-attention, convolution, half a feed-forward step, each added to x; then a norm."""

    def __init__(self, config: ConformerConfig) -> None:
        super().__init__()
        self.first = FeedForward(config)
        self.attention_norm = nn.LayerNorm(config.units)
        self.attention = POSITIONS[config.positions](config.units, config.heads, config.dropout)
        self.convolution = Convolution(config)
        self.second = FeedForward(config)
        self.norm = nn.LayerNorm(config.units)
        self.dropout = Dropout(config.dropout)

    def forward(self, x: Tensor, mask: Tensor, table: Tensor) -> Tensor:
        """(batch, frames, units), mask (batch, frames) and the table of positions to (batch, frames, units)."""
        x = x + 0.5 * self.first(x)
        x = x + self.dropout(self.attention(self.attention_norm(x), mask, table))
        x = x + self.convolution(x, mask)
        x = x + 0.5 * self.second(x)
        normalised: Tensor = self.norm(x)
        return normalised


class Conformer(AttentionEncoder):
    """A front end and Conformer blocks. `blocks.<i>` put out (batch, frames, units)."""

    def __init__(self, bins: int, tokens: int, config: ConformerConfig) -> None:
        """`bins` features in, `tokens` log-probabilities out."""
        super().__init__(bins, tokens, config, (Block(config) for _ in range(config.blocks)))
        self.norm = nn.Identity()  # each block ends with a norm of its own
