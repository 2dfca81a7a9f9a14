"""What stands before the blocks of every encoder: convolutions that bring 100 frames a second down to 25."""

from __future__ import annotations

import math
from collections.abc import Mapping

from torch import Tensor, nn

from otoscope.asr.models.common import STRIDE, frame_mask, strided
from otoscope.asr.settings import expect, is_whole

__all__ = ["FRONT_ENDS", "Conv1dFrontEnd", "VggFrontEnd", "check_front_end", "front_end"]


class Conv1dFrontEnd(nn.Module):
    """Two convolutions of stride 2 over time: (batch, frames, bins) to (batch, ⌈frames / 4⌉, units).

    Frames beyond an utterance's length are set to zero before each convolution, so that they act as the zero padding
    at the end of a lone utterance does.
    """

    def __init__(self, bins: int, units: int, channels: int = 64, kernel: int = 5) -> None:
        """`bins` features in, `units` out, kernels of `kernel` frames; `channels` are those of the VGG front end."""
        super().__init__()
        self.first = nn.Conv1d(bins, units, kernel, stride=2, padding=kernel // 2)
        self.second = nn.Conv1d(units, units, kernel, stride=2, padding=kernel // 2)
        self.norm = nn.LayerNorm(units)

    def forward(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Padded features (batch, frames, bins) and lengths to hidden frames and their lengths."""
        x = features.transpose(1, 2)
        for convolution in (self.first, self.second):
            x = x * frame_mask(lengths, x.shape[2])[:, None]
            x = nn.functional.gelu(convolution(x))
            lengths = strided(lengths, 2)
        return self.norm(x.transpose(1, 2)), lengths


class VggFrontEnd(nn.Module):
    """Four 3 × 3 convolutions over time and frequency: (batch, frames, bins) to (batch, ⌈frames / 4⌉, units).

    `channels`, `channels`, 2 `channels` and 2 `channels` maps; the second and the fourth convolution have a stride of
    2 in both directions, as in Espresso (Wang et al. 2019), in the line of VGG nets for speech (Sercu et al. 2016,
    Hori et al. 2017). A linear layer takes channels × frequencies to `units`. Espresso's batch normalisation is left
    out, since padding would enter its statistics; a LayerNorm over each output frame stands in for it.
    """

    def __init__(self, bins: int, units: int, channels: int = 64) -> None:
        """`bins` features in, `units` out, `channels` maps in the first two convolutions."""
        super().__init__()
        self.convolutions = nn.ModuleList(
            [
                nn.Conv2d(1, channels, 3, stride=1, padding=1),
                nn.Conv2d(channels, channels, 3, stride=2, padding=1),
                nn.Conv2d(channels, 2 * channels, 3, stride=1, padding=1),
                nn.Conv2d(2 * channels, 2 * channels, 3, stride=2, padding=1),
            ]
        )
        for weight in self.convolutions.parameters():
            # He et al. (2015): the scale that ReLU layers keep. Torch's default shrinks what passes through, no norm
            # between the layers makes up for it, and training is slow to begin.
            if weight.dim() > 1:
                nn.init.kaiming_normal_(weight, nonlinearity="relu")
            else:
                nn.init.zeros_(weight)
        self.linear = nn.Linear(2 * channels * math.ceil(bins / STRIDE), units)
        self.norm = nn.LayerNorm(units)

    def forward(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Padded features (batch, frames, bins) and lengths to hidden frames and their lengths."""
        x = features[:, None]
        for i, convolution in enumerate(self.convolutions):
            x = x * frame_mask(lengths, x.shape[2])[:, None, :, None]
            x = nn.functional.relu(convolution(x))
            lengths = strided(lengths, 2) if i % 2 else lengths
        return self.norm(self.linear(x.transpose(1, 2).flatten(2))), lengths


FRONT_ENDS: Mapping[str, type[Conv1dFrontEnd] | type[VggFrontEnd]] = {"conv1d": Conv1dFrontEnd, "vgg": VggFrontEnd}


def check_front_end(name: str, channels: int) -> None:
    """Raises StudyError unless there is a front end of this name and `channels` is a number of channels."""
    expect(name in FRONT_ENDS, "front_end", name, f"one of {', '.join(FRONT_ENDS)}")
    expect(is_whole(channels, 1), "front_end_channels", channels, "a whole number of at least 1")


def front_end(name: str, bins: int, units: int, channels: int) -> nn.Module:
    """The front end of this name, with fresh weights from torch's global generator."""
    return FRONT_ENDS[name](bins, units, channels)
