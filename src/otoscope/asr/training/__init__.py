"""Training a reference recogniser: one readable loop, and the parts that it is made of."""

from otoscope.asr.training.config import TrainingConfig
from otoscope.asr.training.evaluation import Evaluation, by_attention, evaluate, word_errors
from otoscope.asr.training.log import final_checkpoint, is_finished, read_log
from otoscope.asr.training.loop import Training
from otoscope.asr.training.watcher import Watcher

__all__ = [
    "Evaluation",
    "Training",
    "TrainingConfig",
    "Watcher",
    "by_attention",
    "evaluate",
    "final_checkpoint",
    "is_finished",
    "read_log",
    "word_errors",
]
