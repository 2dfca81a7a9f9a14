"""A residual one-dimensional CNN, in the line of wav2letter and Jasper (Collobert 2016, Li 2019)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from otoscope.asr.models.common import Subsample, check_sizes, frame_mask
from otoscope.asr.settings import expect

__all__ = ["Cnn", "CnnConfig"]


@dataclass(frozen=True)
class CnnConfig:
    """Sizes of the CNN: `blocks` residual convolutions of `units` channels over `kernel` frames of 40 ms."""

    blocks: int = 8
    units: int = 256
    kernel: int = 11
    dropout: float = 0.15

    def __post_init__(self) -> None:
        check_sizes(blocks=self.blocks, units=self.units, kernel=self.kernel, dropout=self.dropout)
        # An even kernel has no middle frame: input and output of a block would differ in length.
        expect(self.kernel % 2 == 1, "kernel", self.kernel, "an odd number of frames")


class Block(nn.Module):
    """x + dropout(gelu(convolution(norm(x)))), over (batch, channels, frames)."""

    def __init__(self, config: CnnConfig) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(config.units)
        self.convolution = nn.Conv1d(config.units, config.units, config.kernel, padding=config.kernel // 2)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(batch, channels, frames) and mask (batch, 1, frames) to the same shape."""
        # Normalised over the channels of each frame, not over the batch: padding cannot reach the statistics.
        hidden = self.norm(x.transpose(1, 2)).transpose(1, 2) * mask
        x = x + self.dropout(nn.functional.gelu(self.convolution(hidden)))
        return x


class Cnn(nn.Module):
    """Strided input convolutions, residual blocks, a linear output over tokens.

    `blocks.<i>` put out (batch, channels, frames).
    """

    def __init__(self, bins: int, tokens: int, config: CnnConfig) -> None:
        """`bins` features in, `tokens` log-probabilities out."""
        super().__init__()
        self.subsample = Subsample(bins, config.units)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.blocks))
        self.norm = nn.LayerNorm(config.units)
        self.dropout = nn.Dropout(config.dropout)
        self.output = nn.Linear(config.units, tokens)

    def forward(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Padded features (batch, frames, bins), lengths to log-probabilities (batch, frames / 4, tokens), lengths."""
        x, lengths = self.subsample(features, lengths)
        x = x.transpose(1, 2)
        mask = frame_mask(lengths, x.shape[2])[:, None]
        for block in self.blocks:
            x = block(x, mask)
        x = self.dropout(self.norm(x.transpose(1, 2)))
        return self.output(x).log_softmax(dim=-1), lengths
