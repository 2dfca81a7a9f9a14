"""The reference recognisers' networks, one file each, by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from torch import nn

from otoscope.asr.models.cnn import Cnn, CnnConfig
from otoscope.asr.models.common import STRIDE
from otoscope.asr.models.lstm import Lstm, LstmConfig
from otoscope.asr.models.transformer import Transformer, TransformerConfig

__all__ = ["ARCHITECTURES", "STRIDE", "Architecture", "ModelConfig", "architecture", "sizes"]

ModelConfig = CnnConfig | LstmConfig | TransformerConfig


@dataclass(frozen=True)
class Architecture:
    """A network class with its configuration class and the sizes that have names."""

    network: type[nn.Module]
    config: type[Any]
    presets: Mapping[str, Any]

    def build(self, bins: int, tokens: int, config: ModelConfig) -> nn.Module:
        """The network, with fresh weights from torch's global generator."""
        return self.network(bins, tokens, config)


ARCHITECTURES: Mapping[str, Architecture] = {
    "cnn": Architecture(
        Cnn, CnnConfig, {"small": CnnConfig(blocks=6, units=192, kernel=9), "base": CnnConfig()}
    ),
    "lstm": Architecture(
        Lstm, LstmConfig, {"small": LstmConfig(blocks=3, units=128, dropout=0.1), "base": LstmConfig()}
    ),
    "transformer": Architecture(
        Transformer,
        TransformerConfig,
        {"small": TransformerConfig(blocks=6, units=144, feed_forward=576), "base": TransformerConfig()},
    ),
}


def architecture(config: ModelConfig) -> str:
    """The name of the architecture that a configuration belongs to."""
    return next(name for name, a in ARCHITECTURES.items() if isinstance(config, a.config))


def sizes(config: ModelConfig) -> dict[str, Any]:
    """A configuration as a plain dict."""
    return asdict(config)
