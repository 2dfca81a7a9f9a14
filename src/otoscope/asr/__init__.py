"""The reference recognisers: features, tokens, networks, training, decoding, scoring."""

from otoscope.asr.batching import batches_by_length
from otoscope.asr.decoding import greedy
from otoscope.asr.features import FRAME_SHIFT_SECONDS, MEL_BINS, log_mel
from otoscope.asr.models import ARCHITECTURES, STRIDE, ModelConfig
from otoscope.asr.presets import PRESETS, Preset
from otoscope.asr.recogniser import ReferenceRecogniser
from otoscope.asr.scoring import ErrorRates, score
from otoscope.asr.store import FeatureStore, pad
from otoscope.asr.tokens import CharacterTokens
from otoscope.asr.training import Training, TrainingConfig, evaluate, is_finished, read_log

__all__ = [
    "ARCHITECTURES",
    "FRAME_SHIFT_SECONDS",
    "MEL_BINS",
    "PRESETS",
    "STRIDE",
    "CharacterTokens",
    "ErrorRates",
    "FeatureStore",
    "ModelConfig",
    "Preset",
    "ReferenceRecogniser",
    "Training",
    "TrainingConfig",
    "batches_by_length",
    "evaluate",
    "greedy",
    "is_finished",
    "log_mel",
    "pad",
    "read_log",
    "score",
]
