"""The reference recognisers' networks, one file each, by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from otoscope.asr.models.cnn import Cnn, CnnConfig
from otoscope.asr.models.common import STRIDE
from otoscope.asr.models.conformer import Conformer, ConformerConfig
from otoscope.asr.models.decoders import (
    DECODERS,
    END,
    AttentionDecoder,
    DecoderConfig,
    LstmDecoderConfig,
    State,
    TransformerDecoderConfig,
    decoder_name,
)
from otoscope.asr.models.lstm import Lstm, LstmConfig
from otoscope.asr.models.network import Encoded, Network
from otoscope.asr.models.transformer import Transformer, TransformerConfig

__all__ = [
    "ARCHITECTURES",
    "DECODERS",
    "END",
    "STRIDE",
    "Architecture",
    "AttentionDecoder",
    "CnnConfig",
    "ConformerConfig",
    "DecoderConfig",
    "Encoded",
    "LstmConfig",
    "LstmDecoderConfig",
    "ModelConfig",
    "Network",
    "State",
    "TransformerConfig",
    "TransformerDecoderConfig",
    "architecture",
    "decoder_name",
    "sizes",
]

ModelConfig = CnnConfig | LstmConfig | TransformerConfig | ConformerConfig


@dataclass(frozen=True)
class Architecture:
    """A network class with its configuration class, and the axis of its blocks' outputs that runs over frames."""

    network: type[Any]
    config: type[Any]
    time_axis: int

    def build(self, bins: int, tokens: int, config: ModelConfig, decoder: DecoderConfig | None = None) -> Network:
        """The network, with fresh weights from torch's global generator."""
        network: Network = self.network(bins, tokens, config)
        if decoder is not None:
            network.decoder = DECODERS[decoder_name(decoder)].build(network.width, tokens, decoder)
        return network


ARCHITECTURES: Mapping[str, Architecture] = {
    "cnn": Architecture(Cnn, CnnConfig, time_axis=2),
    "lstm": Architecture(Lstm, LstmConfig, time_axis=1),
    "transformer": Architecture(Transformer, TransformerConfig, time_axis=1),
    "conformer": Architecture(Conformer, ConformerConfig, time_axis=1),
}


def architecture(config: ModelConfig) -> str:
    """The name of the architecture that a configuration belongs to."""
    return next(name for name, a in ARCHITECTURES.items() if isinstance(config, a.config))


def sizes(config: ModelConfig | DecoderConfig) -> dict[str, Any]:
    """A configuration as a plain dict."""
    return asdict(config)
