"""A folder of Moonshine's `.ort` files as a model of transformers, and as a recogniser."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from otoscope.adapters.assembled import assembled, recogniser_of
from otoscope.adapters.moonshine.tokeniser import BEGIN, END, UNKNOWN, tokeniser_from_bin
from otoscope.adapters.moonshine.weights import MoonshineGraph
from otoscope.capture import SAMPLE_RATE_HZ
from otoscope.errors import CaptureError

if TYPE_CHECKING:
    from transformers import (
        MoonshineConfig,
        MoonshineForConditionalGeneration,
        PreTrainedTokenizerFast,
        Wav2Vec2FeatureExtractor,
    )

    from otoscope.adapters.huggingface import HuggingFaceRecogniser

__all__ = ["Moonshine", "load_moonshine", "moonshine_from_ort"]

FILES = ("encoder_model.ort", "decoder_model_merged.ort", "tokenizer.bin")


class Moonshine(NamedTuple):
    """What transformers needs to run a Moonshine."""

    model: MoonshineForConditionalGeneration
    feature_extractor: Wav2Vec2FeatureExtractor
    tokeniser: PreTrainedTokenizerFast


def load_moonshine(folder: str | Path) -> HuggingFaceRecogniser:
    """A Moonshine as its own packages ship it, for onnxruntime, as a recogniser to be looked into.

    Arguments:
        folder: with `encoder_model.ort`, `decoder_model_merged.ort` and `tokenizer.bin`.

    Returns:
        The recogniser, named after the folder; it computes with transformers, and encoder and decoder can be captured.

    Raises:
        CaptureError: see `moonshine_from_ort`.
    """
    folder = Path(folder)
    return recogniser_of(moonshine_from_ort(folder), folder)


def moonshine_from_ort(folder: str | Path) -> Moonshine:
    """Moonshine's weights, features and tokeniser from a folder for onnxruntime.

    All sizes are taken from the graphs. Weights stored as int8 become the float32 values that onnxruntime computes
    with, so that what is looked at is the quantised network.

    Arguments:
        folder: with `encoder_model.ort`, `decoder_model_merged.ort` and `tokenizer.bin`.

    Returns:
        The model in eval mode, its feature extractor and its tokeniser.

    Raises:
        CaptureError: transformers, onnx or onnxruntime is not installed; a file is absent, damaged or of another kind.
    """
    try:
        import transformers
    except ImportError as error:
        raise CaptureError(
            "Moonshine is run by the package transformers, which is not installed. "
            "Install it: pip install 'otoscope[transformers]'"
        ) from error
    folder = Path(folder)
    absent = [name for name in FILES if not (folder / name).is_file()]
    if absent:
        raise CaptureError(f"{folder} is no folder of Moonshine: it has no {', '.join(absent)}")
    encoder, decoder = (MoonshineGraph(folder / name) for name in FILES[:2])
    pieces = tokeniser_from_bin(folder / FILES[2])
    weights = {name: torch.from_numpy(w) for name, w in (encoder.weights() | decoder.weights()).items()}
    wrapped: Any = transformers.PreTrainedTokenizerFast
    tokeniser = wrapped(tokenizer_object=pieces, unk_token=UNKNOWN, bos_token=BEGIN, eos_token=END, pad_token=END)
    config = _config(encoder, decoder, weights, begin=tokeniser.bos_token_id, end=tokeniser.eos_token_id)
    model = assembled(transformers.MoonshineForConditionalGeneration, config, weights, source=folder)
    made: Any = transformers.Wav2Vec2FeatureExtractor
    return Moonshine(
        model, made(sampling_rate=SAMPLE_RATE_HZ, do_normalize=False, return_attention_mask=True), tokeniser
    )


def _config(
    encoder: MoonshineGraph, decoder: MoonshineGraph, weights: Mapping[str, Tensor], *, begin: int, end: int
) -> MoonshineConfig:
    from transformers import MoonshineConfig

    try:
        vocabulary, units = weights["model.decoder.embed_tokens.weight"].shape
        inner = len(weights["model.encoder.layers.0.mlp.fc1.weight"])
    except KeyError as error:
        raise CaptureError(f"{encoder.path.parent} holds no Moonshine: its graphs have no weights {error}") from error
    frequencies = encoder.frequencies()
    heads, head_units = encoder.heads()
    turning = 2 * len(frequencies)
    rotary = {
        "rope_type": "default",
        # frequencies[i] = θ^(−2i / turning): θ from the second.
        "rope_theta": round(float(np.float64(frequencies[1]) ** (-turning / 2))),
        # transformers takes the whole part of this share of a head: the half keeps it from rounding one down.
        "partial_rotary_factor": (turning + 0.5) / head_units,
    }
    return MoonshineConfig(
        vocab_size=vocabulary,
        hidden_size=units,
        intermediate_size=inner,
        encoder_num_hidden_layers=_layers(weights, "encoder"),
        decoder_num_hidden_layers=_layers(weights, "decoder"),
        encoder_num_attention_heads=heads,
        decoder_num_attention_heads=decoder.heads()[0],
        rope_parameters=rotary,
        bos_token_id=begin,
        decoder_start_token_id=begin,
        eos_token_id=end,
    )


def _layers(weights: Mapping[str, Tensor], side: str) -> int:
    return len(
        [name for name in weights if name.startswith(f"model.{side}.") and name.endswith("self_attn.q_proj.weight")]
    )
