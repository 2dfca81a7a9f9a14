"""Sizes and training settings that have names: what `size = "small"` and `size = "base"` mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from otoscope.asr.models import ModelConfig
from otoscope.asr.models.cnn import CnnConfig
from otoscope.asr.models.conformer import ConformerConfig
from otoscope.asr.models.lstm import LstmConfig
from otoscope.asr.models.transformer import TransformerConfig
from otoscope.asr.training import TrainingConfig

__all__ = ["PRESETS", "Preset"]


@dataclass(frozen=True)
class Preset:
    """A network's sizes with the training that suits them."""

    model: ModelConfig
    training: TrainingConfig


def _quick(epochs: int) -> TrainingConfig:
    """Small batches and a high learning rate: the most steps that few minutes of a processor allow."""
    return TrainingConfig(epochs=epochs, batch_seconds=20.0, peak_learning_rate=2e-3, speeds=(1.0,), checkpoints=12)


# `small` is for the embedded corpus and first looks: minutes on two cores. `base` is for an hour or so of speech.
PRESETS: Mapping[str, Mapping[str, Preset]] = {
    "cnn": {
        "small": Preset(CnnConfig(blocks=5, units=160, kernel=9, dropout=0.1), _quick(epochs=16)),
        "base": Preset(CnnConfig(), TrainingConfig()),
    },
    "lstm": {
        "small": Preset(LstmConfig(blocks=3, units=128, dropout=0.1), _quick(epochs=16)),
        "base": Preset(LstmConfig(), TrainingConfig(epochs=30)),
    },
    "transformer": {
        "small": Preset(TransformerConfig(blocks=4, units=144, feed_forward=576), _quick(epochs=16)),
        "base": Preset(TransformerConfig(), TrainingConfig()),
    },
    "conformer": {
        "small": Preset(ConformerConfig(blocks=4, units=96, feed_forward=384), _quick(epochs=16)),
        "base": Preset(ConformerConfig(), TrainingConfig()),
    },
}
