"""Models of SpeechBrain as recognisers: `from_speechbrain`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from otoscope.adapters.plain import PlainRecogniser
from otoscope.adapters.toolkits import for_16_khz, instance_of, recogniser_of
from otoscope.capture import Layer, Speech
from otoscope.errors import CaptureError

__all__ = ["from_speechbrain"]


def from_speechbrain(model: Any, *, layers: Sequence[str | Layer] | None = None, alone: bool = True) -> PlainRecogniser:
    """A model of SpeechBrain's inference interfaces as a recogniser, looked into by its modules' names.

    Run with encoders of SpeechBrain 1.1.2, not with a pretrained model:
    [what is known](../../../docs/adapters/speechbrain.md).

    Arguments:
        model: an `EncoderASR` or `EncoderDecoderASR`, loaded by SpeechBrain's own code.
        layers: names or globs in `model.mods`, such as `"encoder.wav2vec2.model.encoder.layers.*"`. Default: one a
            block.
        alone: whether each utterance goes through by itself. The encoders of SpeechBrain let padding into an
            utterance's frames; `alone=False` is faster.

    Raises:
        CaptureError: SpeechBrain is not installed; another kind of model; a model for another sample rate.
    """
    asr = instance_of(model, "speechbrain.inference.interfaces", "Pretrained", "speechbrain")
    if not (hasattr(asr, "encode_batch") and hasattr(asr, "transcribe_batch")):
        raise CaptureError(
            f"{type(asr).__name__} of SpeechBrain has no encode_batch and transcribe_batch: expected an EncoderASR or "
            "an EncoderDecoderASR"
        )
    for_16_khz("SpeechBrain", int(asr.audio_normalizer.sample_rate))

    def forward(_mods: nn.Module, audio: Tensor, lengths: Tensor) -> Tensor:
        encoded: Tensor = asr.encode_batch(audio, lengths / lengths.max())  # relative to the longest
        return encoded

    @torch.inference_mode()
    def transcribe(speech: Sequence[Speech]) -> list[str]:
        one = torch.ones(1)
        return [str(asr.transcribe_batch(torch.from_numpy(s.audio)[None], one)[0][0]) for s in speech]

    return recogniser_of(
        "speechbrain", asr, asr.mods, forward=forward, transcribe=transcribe, layers=layers, alone=alone
    )
