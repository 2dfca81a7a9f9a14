"""How to train: every setting, checked where it is made."""

from __future__ import annotations

from dataclasses import dataclass

from otoscope.asr.schedule import SCHEDULES
from otoscope.asr.settings import expect, is_number, is_whole
from otoscope.asr.training.precision import PRECISIONS

__all__ = ["TrainingConfig"]


@dataclass(frozen=True)
class TrainingConfig:
    """How to train. Durations are in seconds of speech; the number of processes or GPUs changes none of it.

    Args:
        epochs: passes over the training utterances.
        batch_seconds: speech in the batch of one update, padding included, over all processes.
        memory_seconds: the most that goes through the network at once, in each process; larger batches are cut and
            their gradients added up. None for whole batches.
        peak_learning_rate: of AdamW, after warm-up.
        warmup: the share of all updates in which the rate rises.
        schedule: how it falls: "cosine", or "inverse-sqrt".
        weight_decay: on matrices only, not on biases and norms.
        clip: the largest norm of the gradient.
        speeds: each utterance is heard at one of these in each epoch (Ko et al. 2015).
        frequency_masks, frequency_width: SpecAugment's bands: their number, and their largest width in mel bins.
        time_masks, time_width, time_share: SpecAugment's stretches: their number, and their largest width in frames
            of 10 ms and as a share of the utterance.
        precision: "float32", or "bfloat16" for mixed precision; weights and losses are float32 in both. "auto" is
            bfloat16 where the device has it: GPUs, processors with AVX512-BF16 or AMX.
        device: "cpu", "cuda", or "auto", which takes a CUDA GPU where there is one.
        ctc_weight: 1 for CTC alone, 0 for attention alone, between for both; below 1 takes a decoder.
        label_smoothing: of the attention decoder's targets.
        intermediate_weight: the share of intermediate outputs, where the encoder has any, in the CTC loss.
        checkpoints: how many are kept: step 0, log-spaced early, regular later, the last.
        patience: training ends where this many regular checkpoints in a row brought no better dev WER; 0 for never.
        average: the final model is the mean of this many checkpoints; 0 for the last one, or with `patience` the best.
        average_of: which ones: "best" by dev WER, or "last".
        ema: the final model is an exponential moving average of the weights with this decay; 0 for none.

    Raises:
        StudyError: a value that cannot be, naming the setting.

    Example:
        >>> TrainingConfig(epochs=60, schedule="inverse-sqrt", ema=0.999).batch_seconds
        60.0
    """

    epochs: int = 40
    batch_seconds: float = 60.0
    memory_seconds: float | None = None
    peak_learning_rate: float = 1e-3
    warmup: float = 0.1
    schedule: str = "cosine"
    weight_decay: float = 1e-2
    clip: float = 1.0
    speeds: tuple[float, ...] = (0.9, 1.0, 1.1)
    frequency_masks: int = 2
    frequency_width: int = 20
    time_masks: int = 2
    time_width: int = 25
    time_share: float = 0.15
    precision: str = "float32"
    device: str = "auto"
    ctc_weight: float = 1.0
    label_smoothing: float = 0.1
    intermediate_weight: float = 0.3
    checkpoints: int = 14
    patience: int = 0
    average: int = 0
    average_of: str = "best"
    ema: float = 0.0

    def __post_init__(self) -> None:
        for name, least in {"epochs": 1, "checkpoints": 2, "patience": 0, "average": 0}.items():
            value = getattr(self, name)
            expect(is_whole(value, least), name, value, f"a whole number of at least {least}")
        for name in ("frequency_masks", "frequency_width", "time_masks", "time_width"):
            value = getattr(self, name)
            expect(is_whole(value, 0), name, value, "a whole number of at least 0")
        for name in ("batch_seconds", "peak_learning_rate", "clip"):
            value = getattr(self, name)
            expect(is_number(value) and value > 0, name, value, "a number above 0")
        memory = self.memory_seconds
        expect(memory is None or (is_number(memory) and memory > 0), "memory_seconds", memory, "a number above 0")
        for name in ("warmup", "time_share", "ctc_weight", "intermediate_weight"):
            value = getattr(self, name)
            expect(is_number(value) and 0 <= value <= 1, name, value, "a share of 0 to 1")
        for name in ("label_smoothing", "ema"):
            value = getattr(self, name)
            expect(is_number(value) and 0 <= value < 1, name, value, "a number of at least 0 and below 1")
        decays = is_number(self.weight_decay) and self.weight_decay >= 0
        expect(decays, "weight_decay", self.weight_decay, "a number of at least 0")
        choices = {
            "schedule": tuple(SCHEDULES),
            "precision": PRECISIONS,
            "device": ("auto", "cpu", "cuda"),
            "average_of": ("best", "last"),
        }
        for name, known in choices.items():
            value = getattr(self, name)
            expect(value in known, name, value, f"one of {', '.join(known)}")
        one = not (self.ema and self.average)
        expect(one, "average", self.average, f"0 beside ema = {self.ema}: the final model is one average or the other")
        few = self.average <= self.checkpoints
        expect(few, "average", self.average, f"at most checkpoints = {self.checkpoints}")
        speeds = tuple(self.speeds) if isinstance(self.speeds, tuple | list) else ()
        usable = bool(speeds) and all(is_number(s) and s > 0 for s in speeds)
        expect(usable, "speeds", self.speeds, "one or more numbers above 0, such as [0.9, 1.0, 1.1]")
        # Features are stored under their speed: 1 and 1.0 must not be two.
        object.__setattr__(self, "speeds", tuple(map(float, speeds)))
