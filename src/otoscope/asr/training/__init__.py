"""Training a reference recogniser: one readable loop, and the parts that it is made of."""

from otoscope.asr.training.loop import Training, TrainingConfig, ctc_loss, evaluate, is_finished, read_log
from otoscope.asr.training.watcher import Watcher

__all__ = ["Training", "TrainingConfig", "Watcher", "ctc_loss", "evaluate", "is_finished", "read_log"]
