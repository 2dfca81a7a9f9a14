"""A folder of CTranslate2's Whisper, as faster-whisper has them, as a model of transformers."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from otoscope.adapters.assembled import assembled, recogniser_of
from otoscope.adapters.ctranslate2.model_bin import ModelBin, read_model_bin
from otoscope.adapters.ctranslate2.names import layer_count, whisper_weights
from otoscope.adapters.huggingface.teacher import WHISPER_MULTILINGUAL
from otoscope.errors import CaptureError

if TYPE_CHECKING:
    from transformers import (
        GenerationConfig,
        WhisperConfig,
        WhisperFeatureExtractor,
        WhisperForConditionalGeneration,
        WhisperTokenizer,
    )

    from otoscope.adapters.huggingface import HuggingFaceRecogniser

__all__ = ["Whisper", "load_ctranslate2", "whisper_from_ctranslate2"]

HEAD_UNITS = 64
"""Units of an attention head in every Whisper, for files that do not say how many heads there are."""

VOCABULARIES = (51_864, WHISPER_MULTILINGUAL, 51_866)
"""Tokens in the vocabularies of Whisper's English models, its multilingual ones, and large-v3."""

TIMESTAMPS = 1501
"""How many tokens are timestamps: every 20 ms from 0 to 30 s."""


class Whisper(NamedTuple):
    """What transformers needs to run a Whisper."""

    model: WhisperForConditionalGeneration
    feature_extractor: WhisperFeatureExtractor
    tokeniser: WhisperTokenizer


def load_ctranslate2(folder: str | Path, *, language: str = "en") -> HuggingFaceRecogniser:
    """A Whisper that CTranslate2 or faster-whisper runs, as a recogniser to be looked into.

    Arguments:
        folder: with `model.bin`, `tokenizer.json` and, where there is one, `config.json`.
        language: the language code in the prompt of a multilingual model.

    Returns:
        The recogniser, named after the folder; it computes with transformers, and encoder and decoder can be captured.

    Raises:
        CaptureError: see `whisper_from_ctranslate2`.
    """
    folder = Path(folder)
    return recogniser_of(whisper_from_ctranslate2(folder), folder, language=language)


def whisper_from_ctranslate2(folder: str | Path) -> Whisper:
    """Whisper's weights, features and tokeniser from a folder that CTranslate2's converter wrote.

    All sizes are taken from the weights. Those stored as float16, bfloat16, int16 or int8 become float32, so that what
    is looked at is the network that CTranslate2 computes with, quantisation and all.

    Arguments:
        folder: with `model.bin`, `tokenizer.json` and, where there is one, `config.json`.

    Returns:
        The model in eval mode, its feature extractor and its tokeniser.

    Raises:
        CaptureError: transformers is not installed; `model.bin` is none of CTranslate2's, is damaged, or is no
            Whisper; there is no `tokenizer.json`, or it cannot be read.
    """
    try:
        import transformers
    except ImportError as error:
        raise CaptureError(
            "CTranslate2's Whisper is run by the package transformers, which is not installed. "
            "Install it: pip install 'otoscope[transformers]'"
        ) from error
    folder = Path(folder)
    stored = read_model_bin(folder / "model.bin")
    if stored.spec != "WhisperSpec":
        raise CaptureError(
            f"{stored.path} holds a model of the kind {stored.spec}, expected WhisperSpec: of CTranslate2's folders "
            "those of Whisper are read"
        )
    tokeniser = _tokeniser(folder, vocabulary=len(stored.values("decoder/embeddings/weight")))
    weights = {name: torch.from_numpy(values.copy()) for name, values in whisper_weights(stored)}
    tied = stored.aliases.get("decoder/projection/weight") == "decoder/embeddings/weight"
    if tied:
        del weights["proj_out.weight"]
    config = _config(stored, weights, tokeniser, tied=tied)
    model = assembled(transformers.WhisperForConditionalGeneration, config, weights, source=stored.path)
    model.generation_config = _generation(config, _settings(folder), tokeniser)
    features: Any = transformers.WhisperFeatureExtractor
    return Whisper(model, features(feature_size=config.num_mel_bins), tokeniser)


def _tokeniser(folder: Path, *, vocabulary: int) -> WhisperTokenizer:
    from transformers import WhisperTokenizer

    path = folder / "tokenizer.json"
    if not path.is_file():
        raise CaptureError(
            f"{folder} has no tokenizer.json. Copy that of the model it was converted from beside model.bin, such as "
            "openai/whisper-base's for Whisper base, openai/whisper-tiny.en's for the English ones"
        )
    try:
        tokeniser: WhisperTokenizer = WhisperTokenizer.from_pretrained(
            folder, local_files_only=True, pad_token="<|endoftext|>"
        )
    except Exception as error:  # tokenizers raises bare Exceptions
        raise CaptureError(f"{path} cannot be read as Whisper's tokeniser ({error})") from error
    tokens = tokeniser.get_vocab()
    absent = [token for token in ("<|startoftranscript|>", "<|notimestamps|>") if token not in tokens]
    if absent:
        raise CaptureError(f"{path} is not Whisper's: it has no token {absent[0]}")
    # Timestamps come last in Whisper's own vocabularies: with the tokeniser of another, all that is written is wrong.
    due = vocabulary - TIMESTAMPS - 1
    if vocabulary in VOCABULARIES and tokens["<|notimestamps|>"] != due:
        raise CaptureError(
            f"{path} is of another Whisper: its token <|notimestamps|> has number {tokens['<|notimestamps|>']}, and in "
            f"a model with {vocabulary} tokens it is {due}. The English models, the multilingual ones and large-v3 "
            "have three different ones: copy that of the model it was converted from"
        )
    return tokeniser


def _settings(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    try:
        settings: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    except ValueError as error:
        raise CaptureError(f"{path} is not JSON ({error})") from error
    return settings


def _config(
    stored: ModelBin, weights: dict[str, torch.Tensor], tokeniser: WhisperTokenizer, *, tied: bool
) -> WhisperConfig:
    from transformers import WhisperConfig

    units, bins, _ = weights["model.encoder.conv1.weight"].shape
    sizes: dict[str, Any] = {}
    for side in ("encoder", "decoder"):
        sizes[f"{side}_layers"] = layer_count(stored, side)
        sizes[f"{side}_attention_heads"] = stored.number(f"{side}/num_heads", units // HEAD_UNITS)
        first = weights.get(f"model.{side}.layers.0.fc1.weight")
        sizes[f"{side}_ffn_dim"] = 4 * units if first is None else len(first)
    start, end = (tokeniser.get_vocab()[token] for token in ("<|startoftranscript|>", "<|endoftext|>"))
    return WhisperConfig(
        d_model=units,
        num_mel_bins=bins,
        vocab_size=len(weights["model.decoder.embed_tokens.weight"]),
        max_source_positions=len(weights["model.encoder.embed_positions.weight"]),
        max_target_positions=len(weights["model.decoder.embed_positions.weight"]),
        tie_word_embeddings=tied,
        bos_token_id=end,
        eos_token_id=end,
        pad_token_id=end,
        decoder_start_token_id=start,
        **sizes,
    )


def _generation(config: WhisperConfig, settings: dict[str, Any], tokeniser: WhisperTokenizer) -> GenerationConfig:
    """How transformers is to write what Whisper hears: CTranslate2's settings in transformers' words."""
    from transformers import GenerationConfig

    tokens = tokeniser.get_vocab()
    multilingual = config.vocab_size >= WHISPER_MULTILINGUAL
    languages = {token: i for token, i in tokens.items() if re.fullmatch(r"<\|[a-z]{2,3}\|>", token)}
    tasks = {task: tokens[f"<|{task}|>"] for task in ("transcribe", "translate") if f"<|{task}|>" in tokens}
    spoken = {"lang_to_id": languages, "task_to_id": tasks}
    made: Any = GenerationConfig
    settled: GenerationConfig = made(
        is_multilingual=multilingual,
        **(spoken if multilingual else {}),
        max_length=config.max_target_positions,
        bos_token_id=config.bos_token_id,
        eos_token_id=config.eos_token_id,
        pad_token_id=config.pad_token_id,
        decoder_start_token_id=config.decoder_start_token_id,
        no_timestamps_token_id=tokens["<|notimestamps|>"],
        prev_sot_token_id=tokens.get("<|startofprev|>"),
        return_timestamps=False,
        suppress_tokens=settings.get("suppress_ids"),
        begin_suppress_tokens=settings.get("suppress_ids_begin"),
        alignment_heads=settings.get("alignment_heads"),
    )
    return settled
