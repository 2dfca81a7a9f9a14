"""A residual one-dimensional CNN, as wav2letter, Jasper and QuartzNet are (Collobert 2016, Li 2019, Kriman 2020)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from otoscope.asr.models.common import check_sizes, frame_mask
from otoscope.asr.models.dropout import Dropout
from otoscope.asr.models.encoder_config import EncoderConfig
from otoscope.asr.models.front_end import front_end
from otoscope.asr.models.network import Encoded, Network
from otoscope.asr.settings import expect

__all__ = ["Cnn", "CnnConfig"]


@dataclass(frozen=True)
class CnnConfig(EncoderConfig):
    """Sizes of the CNN: `blocks` residual convolutions of `units` channels over `kernel` frames of 40 ms.

    `separable` convolves each channel by itself and mixes the channels after, as QuartzNet does: about `kernel` times
    fewer weights. The rest is as in `EncoderConfig`.
    """

    units: int = 256
    kernel: int = 11
    dropout: float = 0.15
    separable: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_sizes(units=self.units, kernel=self.kernel, dropout=self.dropout)
        # An even kernel has no middle frame: input and output of a block would differ in length.
        expect(self.kernel % 2 == 1, "kernel", self.kernel, "an odd number of frames")
        expect(isinstance(self.separable, bool), "separable", self.separable, "true or false")


class Block(nn.Module):
    """x + dropout(gelu(convolution(norm(x)))), over (batch, channels, frames)."""

    def __init__(self, config: CnnConfig) -> None:
        super().__init__()
        units, kernel = config.units, config.kernel
        self.norm = nn.LayerNorm(units)
        self.convolution: nn.Module
        if config.separable:
            depthwise = nn.Conv1d(units, units, kernel, padding=kernel // 2, groups=units)
            self.convolution = nn.Sequential(depthwise, nn.Conv1d(units, units, 1))
        else:
            self.convolution = nn.Conv1d(units, units, kernel, padding=kernel // 2)
        self.dropout = Dropout(config.dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(batch, channels, frames) and mask (batch, 1, frames) to the same shape."""
        # Normalised over the channels of each frame, not over the batch: padding cannot reach the statistics.
        hidden = self.norm(x.transpose(1, 2)).transpose(1, 2) * mask
        x = x + self.dropout(nn.functional.gelu(self.convolution(hidden)))
        return x


class Cnn(Network):
    """A front end and residual blocks. `blocks.<i>` put out (batch, channels, frames)."""

    def __init__(self, bins: int, tokens: int, config: CnnConfig) -> None:
        """`bins` features in, `tokens` log-probabilities out."""
        super().__init__(config.units, tokens, config)
        self.subsample = front_end(config.front_end, bins, config.units, config.front_end_channels)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.blocks))
        self.norm = nn.LayerNorm(config.units)
        self.dropout = Dropout(config.dropout)

    def encode(self, features: Tensor, lengths: Tensor) -> Encoded:
        """Padded features (batch, frames, bins) and lengths to hidden frames."""
        x, lengths = self.subsample(features, lengths)
        x = x.transpose(1, 2)
        mask = frame_mask(lengths, x.shape[2])[:, None]
        intermediate: list[Tensor] = []
        for i, block in enumerate(self.blocks):
            x = block(x, mask)
            x = self.on_the_way(i, x.transpose(1, 2), intermediate).transpose(1, 2)
        return Encoded(self.dropout(self.norm(x.transpose(1, 2))), lengths, tuple(intermediate))
