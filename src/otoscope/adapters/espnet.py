"""Models of ESPnet as recognisers: `from_espnet`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from otoscope.adapters.plain import PlainRecogniser
from otoscope.adapters.toolkits import instance_of, recogniser_of
from otoscope.capture import Layer, Speech

__all__ = ["from_espnet"]


def from_espnet(model: Any, *, layers: Sequence[str | Layer] | None = None, alone: bool = True) -> PlainRecogniser:
    """A model of ESPnet as a recogniser, looked into by its modules' names: the encoder, and what comes before it.

    Written against the source of ESPnet 202511 and run with its encoders, not with a pretrained model:
    [what is known](../../../docs/adapters/espnet.md).

    Arguments:
        model: an `espnet2.bin.asr_inference.Speech2Text` for speech at 16 kHz, loaded by ESPnet's own code.
        layers: names or globs in `model.asr_model`, such as `"encoder.encoders.*"`. Default: one a block.
        alone: whether each utterance goes through by itself. The encoders of ESPnet do not mask their convolutions, and
            padding would reach an utterance's last frames; `alone=False` is faster.

    Raises:
        CaptureError: ESPnet is not installed; something other than a `Speech2Text`.
    """
    speech2text = instance_of(model, "espnet2.bin.asr_inference", "Speech2Text", "espnet")

    def forward(asr_model: nn.Module, audio: Tensor, lengths: Tensor) -> Any:
        return asr_model.encode(audio, lengths)  # type: ignore[operator]

    @torch.inference_mode()
    def transcribe(speech: Sequence[Speech]) -> list[str]:
        # The best hypothesis comes first, its text first in it; None where the model has no tokeniser.
        return [speech2text(one.audio)[0][0] or "" for one in speech]

    asr, name = speech2text.asr_model, type(speech2text.asr_model.encoder).__name__
    return recogniser_of(
        "espnet", asr, asr, name=name, forward=forward, transcribe=transcribe, layers=layers, alone=alone
    )
