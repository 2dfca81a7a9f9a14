"""The reference recognisers: features, tokens, networks, training, decoding, scoring."""

from otoscope.asr.batching import batches_by_length
from otoscope.asr.decoding import AttentionSearch, BeamSearch, NgramModel, greedy, kneser_ney, tune
from otoscope.asr.features import FRAME_SHIFT_SECONDS, MEL_BINS, log_mel
from otoscope.asr.models import ARCHITECTURES, DECODERS, STRIDE, DecoderConfig, ModelConfig
from otoscope.asr.objectives import Losses, losses
from otoscope.asr.presets import PRESETS, Preset
from otoscope.asr.recogniser import ReferenceRecogniser
from otoscope.asr.scoring import ErrorRates, score
from otoscope.asr.store import FeatureStore, pad
from otoscope.asr.tokens import CharacterTokens, PieceTokens, Tokens
from otoscope.asr.training import (
    Training,
    TrainingConfig,
    Watcher,
    by_attention,
    evaluate,
    final_checkpoint,
    is_finished,
    read_log,
)

__all__ = [
    "ARCHITECTURES",
    "DECODERS",
    "FRAME_SHIFT_SECONDS",
    "MEL_BINS",
    "PRESETS",
    "STRIDE",
    "AttentionSearch",
    "BeamSearch",
    "CharacterTokens",
    "DecoderConfig",
    "ErrorRates",
    "FeatureStore",
    "Losses",
    "ModelConfig",
    "NgramModel",
    "PieceTokens",
    "Preset",
    "ReferenceRecogniser",
    "Tokens",
    "Training",
    "TrainingConfig",
    "Watcher",
    "batches_by_length",
    "by_attention",
    "evaluate",
    "final_checkpoint",
    "greedy",
    "is_finished",
    "kneser_ney",
    "log_mel",
    "losses",
    "pad",
    "read_log",
    "score",
    "tune",
]
