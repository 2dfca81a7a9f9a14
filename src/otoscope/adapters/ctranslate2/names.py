"""Whisper's weights under the names that transformers gives them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt

from otoscope.adapters.ctranslate2.model_bin import ModelBin

__all__ = ["layer_count", "whisper_weights"]

Weights = Iterator[tuple[str, npt.NDArray[np.float32]]]

NORMS: Mapping[str, Mapping[str, str]] = {
    "encoder": {"self_attn_layer_norm": "self_attention", "final_layer_norm": "ffn"},
    "decoder": {
        "self_attn_layer_norm": "self_attention",
        "encoder_attn_layer_norm": "attention",
        "final_layer_norm": "ffn",
    },
}
"""A layer's norms: transformers' name, and the part that CTranslate2 files it under."""


def layer_count(model: ModelBin, side: str) -> int:
    """Layers of the encoder or the decoder."""
    count = 0
    while f"{side}/layer_{count}/ffn/linear_0/weight" in model:
        count += 1
    return count


def whisper_weights(model: ModelBin) -> Weights:
    """(name, values) of every weight of `transformers.WhisperForConditionalGeneration`.

    CTranslate2 keeps the projections to queries, keys and values stacked, as one product (keys and values, where the
    queries come from elsewhere); transformers keeps them apart, and its keys have no bias. Raises CaptureError where a
    weight is missing.
    """
    for conv in ("conv1", "conv2"):
        yield from _linear(model, f"encoder/{conv}", f"model.encoder.{conv}")
    yield "model.decoder.embed_tokens.weight", model.values("decoder/embeddings/weight")
    yield "proj_out.weight", model.values("decoder/projection/weight")
    for side, norms in NORMS.items():
        yield f"model.{side}.embed_positions.weight", model.values(f"{side}/position_encodings/encodings")
        yield from _norm(model, f"{side}/layer_norm", f"model.{side}.layer_norm")
        for i in range(layer_count(model, side)):
            source, target = f"{side}/layer_{i}", f"model.{side}.layers.{i}"
            for name, part in norms.items():
                yield from _norm(model, f"{source}/{part}/layer_norm", f"{target}.{name}")
            yield from _apart(model, f"{source}/self_attention/linear_0", f"{target}.self_attn", "qkv")
            yield from _linear(model, f"{source}/self_attention/linear_1", f"{target}.self_attn.out_proj")
            if side == "decoder":
                yield from _linear(model, f"{source}/attention/linear_0", f"{target}.encoder_attn.q_proj")
                yield from _apart(model, f"{source}/attention/linear_1", f"{target}.encoder_attn", "kv")
                yield from _linear(model, f"{source}/attention/linear_2", f"{target}.encoder_attn.out_proj")
            for j in (0, 1):
                yield from _linear(model, f"{source}/ffn/linear_{j}", f"{target}.fc{j + 1}")


def _linear(model: ModelBin, source: str, target: str) -> Weights:
    for part in ("weight", "bias"):
        yield f"{target}.{part}", model.values(f"{source}/{part}")


def _norm(model: ModelBin, source: str, target: str) -> Weights:
    for part, name in (("gamma", "weight"), ("beta", "bias")):
        yield f"{target}.{name}", model.values(f"{source}/{part}")


def _apart(model: ModelBin, source: str, target: str, stacked: str) -> Weights:
    for name, values in _linear(model, source, ""):
        for letter, part in zip(stacked, np.split(values, len(stacked)), strict=True):
            if (letter, name) != ("k", ".bias"):
                yield f"{target}.{letter}_proj{name}", part
