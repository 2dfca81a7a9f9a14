"""What every network is: an encoder's layers, a CTC output over tokens and, where asked for, an attention decoder."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from torch import Tensor, nn

from otoscope.asr.models.common import log_probabilities
from otoscope.asr.models.decoders import AttentionDecoder
from otoscope.asr.models.encoder_config import EncoderConfig

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
    one another, calling `on_the_way` after each block. They are the network's own children, and not those of an
    encoder within it, so that layers are addressed as `blocks.0`; what a decoder holds is `decoder.blocks.0`. `width`
    is that of the hidden frames.
    """

    norm: nn.Module

    def __init__(self, width: int, tokens: int, config: EncoderConfig) -> None:
        """Hidden frames of `width` units to `tokens` log-probabilities; no decoder as yet."""
        super().__init__()
        self.width = width
        self.output = nn.Linear(width, tokens)
        self.intermediate_ctc = config.intermediate_ctc
        self.conditioning = nn.Linear(tokens, width) if config.self_conditioning else None
        self.decoder: AttentionDecoder | None = None

    @abstractmethod
    def encode(self, features: Tensor, lengths: Tensor) -> Encoded:
        """Padded features (batch, frames, bins) and lengths to hidden frames."""

    def ctc(self, hidden: Tensor) -> Tensor:
        """Hidden frames (batch, frames, width) to CTC log-probabilities (batch, frames, tokens)."""
        return log_probabilities(self.output(hidden))

    def on_the_way(self, block: int, hidden: Tensor, intermediate: list[Tensor]) -> Tensor:
        """What the next block is given: hidden frames (batch, frames, width), perhaps with what they predict.

        Where this block has a CTC output of its own, its log-probabilities are added to `intermediate`.
        """
        if block not in self.intermediate_ctc:
            return hidden
        # Through the last norm and the last output: the blocks before are to do what the last block does.
        log_probs = self.ctc(self.norm(hidden))
        intermediate.append(log_probs)
        if self.conditioning is None:
            return hidden
        predicted: Tensor = self.conditioning(log_probs.exp().to(self.output.weight.dtype))
        return hidden + predicted

    def forward(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Features (batch, frames, bins), lengths to CTC log-probabilities (batch, ⌈frames / 4⌉, tokens), lengths."""
        encoded = self.encode(features, lengths)
        return self.ctc(encoded.hidden), encoded.lengths
