"""Models of NeMo as recognisers: `from_nemo`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from otoscope.adapters.plain import PlainRecogniser
from otoscope.adapters.toolkits import for_16_khz, instance_of, recogniser_of
from otoscope.capture import SAMPLE_RATE_HZ, Layer, Speech
from otoscope.errors import CaptureError

__all__ = ["from_nemo"]


def from_nemo(model: Any, *, layers: Sequence[str | Layer] | None = None, alone: bool = True) -> PlainRecogniser:
    """A speech recogniser of NeMo as one of ours, looked into by its modules' names: preprocessor and encoder run.

    Written against the source of NeMo 3.0.0 and not run with it: [what is known](../../../docs/adapters/nemo.md). The
    preprocessor's `pad_to` and `dither` are set to 0, as `model.transcribe` does while it runs.

    Arguments:
        model: an `ASRModel`: `EncDecCTCModel`, `EncDecRNNTModel`, a hybrid of both, `EncDecMultiTaskModel`.
        layers: names or globs in the model, such as `"encoder.layers.*"`. Default: one a block.
        alone: whether each utterance goes through by itself, so that padding is no question. NeMo masks convolutions
            and attention by true lengths: `alone=False` should give the same, faster.

    Raises:
        CaptureError: NeMo is not installed; another kind of model; a model for another sample rate.
    """
    asr = instance_of(model, "nemo.collections.asr.models", "ASRModel", "nemo_toolkit[asr]")
    if not isinstance(getattr(asr, "encoder", None), nn.Module) or not hasattr(asr, "preprocessor"):
        raise CaptureError(f"{type(asr).__name__} of NeMo has no preprocessor and encoder to run")
    for_16_khz("NeMo", int(getattr(asr.preprocessor, "_sample_rate", SAMPLE_RATE_HZ)))
    featurizer = getattr(asr.preprocessor, "featurizer", None)
    for setting in ("pad_to", "dither"):
        # Padded to whole multiples of frames, layers would have more frames than the speech has.
        if hasattr(featurizer, setting):
            setattr(featurizer, setting, 0)

    def forward(own: Any, audio: Tensor, lengths: Tensor) -> Any:
        features, counts = own.preprocessor(input_signal=audio, length=lengths)
        return own.encoder(audio_signal=features, length=counts)

    def transcribe(speech: Sequence[Speech]) -> list[str]:
        heard = asr.transcribe([one.audio for one in speech], verbose=False)
        # Transducers of earlier versions gave the best and all hypotheses; a hypothesis has its text.
        heard = heard[0] if isinstance(heard, tuple) else heard
        return [str(getattr(one, "text", one)) for one in heard]

    return recogniser_of("nemo", asr, asr, forward=forward, transcribe=transcribe, layers=layers, alone=alone)
