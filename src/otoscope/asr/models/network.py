"""What every network is: an encoder's layers, a CTC output over tokens and, where asked for, an attention decoder."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from torch import Tensor, nn

from otoscope.asr.models.common import log_probabilities
from otoscope.asr.models.decoders import AttentionDecoder

__all__ = ["Encoded", "Network"]


@dataclass(frozen=True)
class Encoded:
    """What an encoder makes of a batch.

    `hidden` (batch, ⌈frames / 4⌉, width) with true `lengths` (batch,); `intermediate` holds the CTC log-probabilities
    (batch, ⌈frames / 4⌉, tokens) of the blocks that `intermediate_ctc` names, from input to output.
    """

    hidden: Tensor
    lengths: Tensor
    intermediate: tuple[Tensor, ...] = ()


class Network(nn.Module, ABC):
    """The base of the four architectures.

    An architecture adds `subsample`, `blocks` and `norm` as children of its own and says in `encode` how they follow
    one another. They are the network's own children, and not those of an encoder within it, so that layers are
    addressed as `blocks.0`; what a decoder holds is `decoder.blocks.0`. `width` is that of the hidden frames.
    """

    def __init__(self, width: int, tokens: int) -> None:
        """Hidden frames of `width` units to `tokens` log-probabilities; no decoder as yet."""
        super().__init__()
        self.width = width
        self.output = nn.Linear(width, tokens)
        self.decoder: AttentionDecoder | None = None

    @abstractmethod
    def encode(self, features: Tensor, lengths: Tensor) -> Encoded:
        """Padded features (batch, frames, bins) and lengths to hidden frames."""

    def ctc(self, hidden: Tensor) -> Tensor:
        """Hidden frames (batch, frames, width) to CTC log-probabilities (batch, frames, tokens)."""
        return log_probabilities(self.output(hidden))

    def forward(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Features (batch, frames, bins), lengths to CTC log-probabilities (batch, ⌈frames / 4⌉, tokens), lengths."""
        encoded = self.encode(features, lengths)
        return self.ctc(encoded.hidden), encoded.lengths
