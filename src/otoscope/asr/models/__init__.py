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
    """A network class with its configuration class, and the axis of its blocks' outputs that runs over frames."""

    network: type[nn.Module]
    config: type[Any]
    time_axis: int

    def build(self, bins: int, tokens: int, config: ModelConfig) -> nn.Module:
        """The network, with fresh weights from torch's global generator."""
        return self.network(bins, tokens, config)


ARCHITECTURES: Mapping[str, Architecture] = {
    "cnn": Architecture(Cnn, CnnConfig, time_axis=2),
    "lstm": Architecture(Lstm, LstmConfig, time_axis=1),
    "transformer": Architecture(Transformer, TransformerConfig, time_axis=1),
}


def architecture(config: ModelConfig) -> str:
    """The name of the architecture that a configuration belongs to."""
    return next(name for name, a in ARCHITECTURES.items() if isinstance(config, a.config))


def sizes(config: ModelConfig) -> dict[str, Any]:
    """A configuration as a plain dict."""
    return asdict(config)
