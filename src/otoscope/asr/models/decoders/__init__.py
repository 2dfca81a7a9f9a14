"""Attention decoders, one file each, by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from otoscope.asr.models.decoders.base import END, AttentionDecoder, State
from otoscope.asr.models.decoders.lstm import LstmDecoder, LstmDecoderConfig
from otoscope.asr.models.decoders.transformer import TransformerDecoder, TransformerDecoderConfig

__all__ = [
    "DECODERS",
    "END",
    "AttentionDecoder",
    "DecoderConfig",
    "LstmDecoderConfig",
    "State",
    "TransformerDecoderConfig",
    "decoder_name",
]

DecoderConfig = LstmDecoderConfig | TransformerDecoderConfig


@dataclass(frozen=True)
class DecoderKind:
    """A decoder class with its configuration class."""

    decoder: type[Any]
    config: type[Any]

    def build(self, width: int, tokens: int, config: DecoderConfig) -> AttentionDecoder:
        """The decoder of hidden frames of `width` units, with fresh weights from torch's global generator."""
        built: AttentionDecoder = self.decoder(width, tokens, config)
        return built


DECODERS: Mapping[str, DecoderKind] = {
    "lstm": DecoderKind(LstmDecoder, LstmDecoderConfig),
    "transformer": DecoderKind(TransformerDecoder, TransformerDecoderConfig),
}


def decoder_name(config: DecoderConfig) -> str:
    """The name of the decoder that a configuration belongs to."""
    return next(name for name, kind in DECODERS.items() if isinstance(config, kind.config))
