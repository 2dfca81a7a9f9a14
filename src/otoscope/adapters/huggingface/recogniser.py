"""A speech model of transformers as a recogniser: `HuggingFaceRecogniser`."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn

from otoscope.adapters.huggingface.passes import Pass, Passes, to_model
from otoscope.adapters.huggingface.pruned import needed, smaller, write
from otoscope.adapters.huggingface.structure import Structure, structure_of
from otoscope.adapters.huggingface.teacher import Teacher, shortened, teacher_of, writes_lower_case
from otoscope.adapters.huggingface.transcribing import transcribed
from otoscope.adapters.padding import joined
from otoscope.capture import SAMPLE_RATE_HZ, Batch, Fed, Layer, Seconds, Speech, TorchRecogniser, capture, select
from otoscope.capture.discovery import infer_layers
from otoscope.capture.pruning import staying
from otoscope.errors import CaptureError

__all__ = ["HuggingFaceRecogniser"]


class HuggingFaceRecogniser(TorchRecogniser):
    """Any speech model of transformers that is in memory, looked into by its modules' names.

    Families with known frames: Whisper, Moonshine, wav2vec 2.0, HuBERT, WavLM, UniSpeech, data2vec-audio,
    Wav2Vec2-BERT, Wav2Vec2-Conformer, Parakeet, Speech2Text and SeamlessM4T's speech encoder; of others, frames are
    found out by running the model. Base models, CTC heads and encoder-decoders alike. `load_huggingface` reads one
    from a folder or the hub.

    Where padding would change an utterance's frames (wav2vec 2.0 with group norm, Moonshine and some more), the
    utterances of a batch run one by one. Models whose decoder is not asked for run their encoder only.

    Arguments:
        model: a `PreTrainedModel`. It is put into eval mode, and otherwise left as it is.
        feature_extractor: the model's own, from audio to inputs.
        tokeniser: the model's own, or a `tokenizers.Tokenizer`: needed for what a decoder is fed, and to transcribe.
        language: the language code in the prompt of a multilingual model.
        name: what the recogniser is called; by default its class's name.
        source: what was loaded, with revision or path.

    Raises:
        CaptureError: the model takes no speech; the feature extractor is for another sample rate.

    `frame_shift` is one sample, 1/16000 s: lengths of batches count samples.
    """

    frame_shift: Seconds = 1 / SAMPLE_RATE_HZ

    def __init__(
        self,
        model: Any,
        *,
        feature_extractor: Any,
        tokeniser: Any = None,
        language: str = "en",
        name: str | None = None,
        source: str | None = None,
    ) -> None:
        self.module: nn.Module = model.eval()
        self.feature_extractor = feature_extractor
        self.tokeniser = _wrapped(tokeniser)
        self.language = language
        self.name = name or type(model).__name__
        self.source = source or f"{type(model).__name__} in memory"
        self.structure: Structure = structure_of(model)
        rate = getattr(feature_extractor, "sampling_rate", SAMPLE_RATE_HZ)
        if rate != SAMPLE_RATE_HZ:
            raise CaptureError(
                f"the feature extractor of {self.name} takes speech of {rate} Hz, and recognisers are given "
                f"{SAMPLE_RATE_HZ} Hz: it cannot be looked into"
            )

    @property
    def padded_seconds(self) -> Seconds | None:
        """To how many seconds every utterance is padded: 30 for Whisper, None for models that take any length."""
        samples = getattr(self.feature_extractor, "n_samples", None)
        return None if samples is None else samples / SAMPLE_RATE_HZ

    @cached_property
    def teacher(self) -> Teacher | None:
        """What the decoder is fed by; None without a decoder or a tokeniser."""
        if self.structure.decoder is None or self.tokeniser is None:
            return None
        return teacher_of(self.module, self.tokeniser, self.module.get_submodule(self.structure.decoder), self.language)

    @cached_property
    def writes_lower_case(self) -> bool:
        """Whether its tokens are made for lower case: capitals alone are not what its decoder knows."""
        return self.tokeniser is not None and writes_lower_case(self.tokeniser)

    def tokenise(self, text: str) -> list[int]:
        """The token ids of a text as the decoder is fed them, without prompt and end."""
        if self.tokeniser is None:
            raise CaptureError(f"{self.name} was given no tokeniser: HuggingFaceRecogniser(..., tokeniser=...)")
        if self.teacher is not None:
            return self.teacher.tokens(text)[0][:-1]
        return list(self.tokeniser(text, add_special_tokens=False)["input_ids"])

    def prepare(self, speech: Sequence[Speech]) -> Batch:
        """Utterances as the model takes them; where it has a decoder, with what teacher forcing feeds it.

        `inputs` are the arguments of one forward pass after another: one pass for all utterances, or one for each where
        padding would change their frames. Lengths count samples. Where a decoder cannot be fed the transcripts, `fed`
        is None: layers of the encoder do not need it, and asking for the decoder's is an error that says why.

        Raises CaptureError for an utterance that is longer than the model takes, or that holds no speech at all.
        """
        for one in speech:
            self._check(one)
        groups = [speech] if speech and self.structure.padding_proof else [[one] for one in speech]
        inputs = Passes(self._features(group) for group in groups)
        fed = None
        try:
            fed = self._feed(speech, groups, inputs)
        except CaptureError as error:
            inputs.unfed = error.with_traceback(None)
        return Batch(inputs, torch.tensor([len(one.audio) for one in speech]), fed)

    def _feed(self, speech: Sequence[Speech], groups: Sequence[Sequence[Speech]], inputs: Passes) -> Fed | None:
        """Puts what the decoder is fed into the arguments of the passes, where there is one."""
        if self.teacher is None:
            return None
        taught = [self.teacher.tokens(one.text) for one in speech]
        fed = Fed([t for t, _ in taught], [w for _, w in taught], start=len(self.teacher.prompt) - 1)
        rows = iter(fed.tokens)
        for group, arguments in zip(groups, inputs, strict=True):
            arguments["decoder_input_ids"] = self._decoder_ids([next(rows) for _ in group], self.teacher)
        return fed

    def _check(self, one: Speech) -> None:
        seconds = len(one.audio) / SAMPLE_RATE_HZ
        which = f"the utterance {shortened(one.text)!r}" if one.text.strip() else "an utterance without a transcript"
        if self.padded_seconds is not None and seconds > self.padded_seconds:
            raise CaptureError(
                f"{self.name} takes {self.padded_seconds:g} s of speech at once, and {which} has {seconds:.1f} s: "
                "leave out the longest utterances, or cut them"
            )
        if self.structure.family is not None and not self.layers()[0].frames([len(one.audio)], self.frame_shift)[0]:
            raise CaptureError(
                f"{which} has {len(one.audio)} samples, less than one frame of {self.name}: leave it out"
            )

    def _features(self, speech: Sequence[Speech]) -> dict[str, Tensor]:
        audio = [np.asarray(one.audio, dtype=np.float32) for one in speech]
        settings: dict[str, Any] = {"sampling_rate": SAMPLE_RATE_HZ, "return_tensors": "pt"}
        if self.padded_seconds is None:
            settings |= {"padding": True, "return_attention_mask": True}
        made = dict(self.feature_extractor(audio, **settings))
        takes = ("input_values", "input_features", "attention_mask")
        return {key: value for key, value in made.items() if key in takes}

    @staticmethod
    def _decoder_ids(rows: Sequence[Sequence[int]], teacher: Teacher) -> Tensor:
        # Each row without its last token, the end, which is predicted and not fed. Padding comes after what counts, and
        # a causal decoder does not see it.
        fed = [[*teacher.prompt, *tokens[:-1]] for tokens in rows]
        longest = max(map(len, fed))
        return torch.tensor([row + [teacher.end] * (longest - len(row)) for row in fed])

    def run(self, batch: Batch) -> list[Any]:
        """The model's outputs, one for each forward pass: of the whole model, or of the encoder if nothing is fed."""
        whole = batch.fed is not None or self.structure.decoder is None
        return [self._forward(arguments, whole=whole) for arguments in batch.inputs]

    def encode(self, arguments: Pass) -> Any:
        """The encoder's outputs in one of the forward passes of a batch; of the whole model where it is no part."""
        return self._forward(arguments, whole=self.structure.decoder is None)

    def outputs(self, batch: Batch, layers: Sequence[str]) -> Mapping[str, Tensor]:
        """Forward passes of a batch, and what the named layers put out in them, padded to the longest.

        Raises CaptureError for a layer that did not fire, and for one of a decoder that cannot be fed: there is no
        tokeniser, or a transcript does not fit.
        """
        whole = self.structure.decoder is None or any(not self._in_encoder(name) for name in layers)
        self._need_teacher(layers, batch)
        parts = []
        with capture(self.module, layers) as captured:
            for arguments in batch.inputs:
                self._forward(arguments, whole=whole)
                parts.append(captured.take())
        return {name: joined([part[name] for part in parts]) for name in parts[0]} if parts else {}

    def _in_encoder(self, name: str) -> bool:
        return f"{name}.".startswith(f"{self.structure.encoder}." if self.structure.encoder else "")

    def _need_teacher(self, layers: Sequence[str], batch: Batch | None = None) -> None:
        """Raises CaptureError where some of the layers run on what a decoder is fed, and nothing is fed."""
        outside = [name for name in layers if not self._in_encoder(name)]
        if not outside or self.structure.decoder is None:
            return
        if self.teacher is None:  # or it says what it lacks
            raise CaptureError(
                f"{outside[0]} of {self.name} runs on what a decoder is fed, and there is no tokeniser for that: "
                "give HuggingFaceRecogniser(..., tokeniser=...)"
            )
        unfed = None if batch is None else getattr(batch.inputs, "unfed", None)
        if unfed is not None:
            raise unfed

    @torch.inference_mode()
    def _forward(self, arguments: Pass, *, whole: bool) -> Any:
        moved = to_model(arguments, self.module)
        if not whole:
            moved.pop("decoder_input_ids", None)
        with warnings.catch_warnings():
            # WavLM's own way of calling torch, nothing that a caller could change.
            warnings.filterwarnings("ignore", message="Support for mismatched key_padding_mask")
            if whole:
                settings = {"use_cache": False} if "decoder_input_ids" in moved else {}
                return self.module(**moved, **settings)
            return self.module.get_submodule(self.structure.encoder)(**moved)

    def transcribe(self, speech: Sequence[Speech]) -> list[str]:
        """What the model hears, greedily. Raises CaptureError for a model that has no way to write."""
        return transcribed(self, speech)

    def layers(self) -> list[Layer]:
        """The front end and one layer for each block of the encoder, from input to output."""
        return self._layers

    @cached_property
    def _layers(self) -> list[Layer]:
        known = self.structure.layers(self.module)
        return known if known is not None else infer_layers(self, self.structure.blocks)

    def blocks(self) -> dict[str, str]:
        """The encoder's blocks by name, and why one cannot be left out; see `otoscope.capture.Prunes`."""
        return needed(self.structure)

    def without(self, blocks: Collection[str]) -> Self:
        """A smaller recogniser of the same weights, in which what went into these blocks is handed on.

        Raises CaptureError for blocks that cannot be left out, and for a model of no known family.
        """
        stay = staying(self.blocks(), blocks)
        return type(self)(
            smaller(self.module, self.structure, stay),
            feature_extractor=self.feature_extractor,
            tokeniser=self.tokeniser,
            language=self.language,
            name=self.name,
            source=f"{self.source} without {', '.join(blocks)}" if blocks else self.source,
        )

    def write(self, folder: Path) -> Path:
        """Saves the model, its features and its tokens as transformers does: `from_pretrained(folder)` loads them."""
        return write(self, folder)

    def decoder_layers(self) -> list[Layer]:
        """One layer for each block of the decoder; none where there is no decoder."""
        return self.structure.decoder_layers(self.module)

    def find(self, patterns: Sequence[str]) -> list[Layer]:
        """Layers for any submodules, by names or globs (see `otoscope.select`): attention, feed-forward, norms.

        Units, stride and axes are found out by running the model on two seconds of noise. Raises CaptureError for a
        name that matches nothing, and for a submodule that cannot be captured.
        """
        names = select(self.module, patterns)
        self._need_teacher(names)
        # The front end runs along: where all speech is padded, its convolution tells what an axis of frames is.
        front = self.structure.front
        found = infer_layers(self, [*names, front] if front and front not in names else names)
        return [self.structure.as_known(layer) for layer in found if layer.name in names]


def _wrapped(tokeniser: Any) -> Any:
    """A `tokenizers.Tokenizer` as a tokeniser of transformers; others as they are."""
    if tokeniser is None or not type(tokeniser).__module__.startswith("tokenizers"):
        return tokeniser
    import transformers

    fast: Any = transformers.PreTrainedTokenizerFast
    return fast(tokenizer_object=tokeniser)
