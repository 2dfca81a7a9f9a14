"""What a speech model of transformers writes: greedy, by a decoder or by CTC."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from otoscope.adapters.huggingface.passes import to_model
from otoscope.capture import SAMPLE_RATE_HZ, Batch, Speech
from otoscope.errors import CaptureError

if TYPE_CHECKING:
    from otoscope.adapters.huggingface.recogniser import HuggingFaceRecogniser

__all__ = ["transcribed"]

TOKENS_PER_SECOND = {"moonshine": 6.5}
"""How many tokens a second of speech can have; without the limit a Moonshine may repeat itself without an end."""

MOST_TOKENS_PER_SECOND = 25.0
"""The same for all others: fast speech, letter by letter."""


@torch.inference_mode()
def transcribed(recogniser: HuggingFaceRecogniser, speech: Sequence[Speech]) -> list[str]:
    """Greedy transcripts of some utterances."""
    if recogniser.tokeniser is None:
        raise CaptureError(f"{recogniser.name} cannot write without a tokeniser: give tokeniser=...")
    batch = recogniser.prepare([Speech(one.audio) for one in speech])
    if recogniser.teacher is not None and hasattr(recogniser.module, "generate"):
        return _by_decoder(recogniser, batch)
    outputs = recogniser.run(batch)
    if any(_letters(output, recogniser) is None for output in outputs):
        raise CaptureError(
            f"{recogniser.name} has neither a decoder nor a CTC head and cannot write: load a model with a head, or "
            "compare layers only"
        )
    return _by_ctc(recogniser, batch, outputs)


def _letters(output: Any, recogniser: HuggingFaceRecogniser) -> Tensor | None:
    """What a CTC head put out, (batch, frames, tokens); None for heads that classify, and without a head."""
    logits = getattr(output, "logits", None)
    tokens = getattr(recogniser.module.config, "vocab_size", None)
    return logits if isinstance(logits, Tensor) and logits.dim() == 3 and logits.shape[-1] == tokens else None


def _by_decoder(recogniser: HuggingFaceRecogniser, batch: Batch) -> list[str]:
    from transformers import GenerationMixin

    teacher = recogniser.teacher
    module: Any = recogniser.module
    assert teacher is not None
    rate = TOKENS_PER_SECOND.get(getattr(module.config, "model_type", ""), MOST_TOKENS_PER_SECOND)
    lengths, texts = iter(batch.lengths.tolist()), []
    for arguments in batch.inputs:
        rows = len(arguments["decoder_input_ids"])
        seconds = max(next(lengths) for _ in range(rows)) / SAMPLE_RATE_HZ
        room = math.inf if teacher.most is None else teacher.most - len(teacher.prompt)
        own: dict[str, Any] = to_model(arguments, module)
        own["decoder_input_ids"] = torch.tensor([teacher.prompt] * rows, device=module.device)
        # The mixin's own: those of Whisper and SeamlessM4T put other prompts before what is asked for here, while
        # the prompt is to be that of teacher forcing.
        ids: Any = GenerationMixin.generate(
            module,
            **own,
            num_beams=1,
            do_sample=False,
            max_new_tokens=int(min(room, max(8, math.ceil(seconds * rate)))),
            max_length=None,  # the model's own, beside which transformers would warn of two limits
            eos_token_id=teacher.end,
            pad_token_id=int(teacher.end == 0),  # told apart from the end, after which a row does not count
            forced_bos_token_id=None,
            return_dict_in_generate=False,
        )
        for row in ids.tolist():
            said = row[len(teacher.prompt) :]
            texts.append(_text(recogniser, said[: said.index(teacher.end)] if teacher.end in said else said))
    return texts


def _by_ctc(recogniser: HuggingFaceRecogniser, batch: Batch, outputs: Sequence[Any]) -> list[str]:
    config = recogniser.module.config
    blank = getattr(config, "pad_token_id", None)
    frames = iter(recogniser.layers()[-1].frames(batch.lengths.tolist(), recogniser.frame_shift))
    texts = []
    for output in outputs:
        logits: Tensor = output.logits
        for row in logits.argmax(-1).cpu():
            # An adapter before the head makes fewer frames than the encoder's blocks have; it runs one by one.
            path = torch.unique_consecutive(row[: next(frames)])
            texts.append(_text(recogniser, path[path != blank].tolist(), group_tokens=False))
    return texts


def _text(recogniser: HuggingFaceRecogniser, ids: Sequence[int], **settings: Any) -> str:
    said = recogniser.tokeniser.decode(ids, skip_special_tokens=True, **settings)
    return " ".join(str(said).split())
