"""What is known of the families of speech encoders in transformers: front end, blocks, frames, padding."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

__all__ = ["FAMILIES", "Family", "Frames", "receptive_field"]


@dataclass(frozen=True, slots=True)
class Frames:
    """The frames of an encoder in samples of 16 kHz speech: from one to the next, and what a frame needs.

    `window` 0 stands for a front end that pads, as in `otoscope.capture.Layer`.
    """

    stride: int
    window: int


def receptive_field(kernels: list[int], strides: list[int]) -> Frames:
    """What convolutions without padding, one after another, make of samples.

    >>> receptive_field([10, 3, 3, 3, 3, 2, 2], [5, 2, 2, 2, 2, 2, 2])  # wav2vec 2.0
    Frames(stride=320, window=400)
    >>> receptive_field([127, 7, 3], [64, 3, 2])  # Moonshine
    Frames(stride=384, window=895)
    """
    stride, window = 1, 1
    for kernel, step in zip(kernels, strides, strict=True):
        window += (kernel - 1) * stride
        stride *= step
    return Frames(stride, window)


@dataclass(frozen=True, slots=True)
class Family:
    """One family of encoders.

    `front` and `blocks` are module names below the same parent: the module whose output is the first in frames of the
    encoder, and the list of blocks. `frames` reads stride and window off the configuration. `padding_proof` says
    whether true frames come out the same with padding behind them; where they do not, utterances run one by one.
    """

    front: str
    blocks: str
    frames: Callable[[Any], Frames]
    padding_proof: Callable[[Any], bool]
    front_axis: int = 1
    depth: str = "num_hidden_layers"
    first_shares: bool = False


def _whisper(config: Any) -> Frames:
    return Frames(stride=2 * 160, window=0)


def _convolutions(config: Any) -> Frames:
    return receptive_field(list(config.conv_kernel), list(config.conv_stride))


def _moonshine(config: Any) -> Frames:
    return receptive_field([127, 7, 3], [64, 3, 2])


def _stacked(config: Any) -> Frames:
    # Two frames of 25 ms every 10 ms side by side; a last one without its partner is dropped.
    return Frames(stride=2 * 160, window=400 + 160)


def _speech_to_text(config: Any) -> Frames:
    # 25 ms every 10 ms, then ⌈n / 2⌉ with each convolution: ⌈(⌊(n − 400) / 160⌋ + 1) / 4⌉ = ⌊(n − 400) / 640⌋ + 1.
    return Frames(stride=160 * 2**config.num_conv_layers, window=400)


def _parakeet(config: Any) -> Frames:
    # A frame for each whole 10 ms, then ⌈n / 2⌉ with each convolution: ⌈⌊n / 160⌋ / 8⌉ = ⌊(n − 160) / 1280⌋ + 1.
    halvings = int(math.log2(config.subsampling_factor))
    return Frames(stride=160 * config.subsampling_conv_stride**halvings, window=160)


def _normalised_by_frame(config: Any) -> bool:
    # Group norm of the first convolution, and batch norm before positions, let padding in: one takes its mean and
    # variance over all time, the other moves zeros away from zero.
    layer_norm = config.feat_extract_norm == "layer" and not getattr(config, "conv_pos_batch_norm", False)
    return layer_norm and _no_adapter(config)


def _no_adapter(config: Any) -> bool:
    # The convolutions of an adapter are not masked.
    return not getattr(config, "add_adapter", False)


def _always(config: Any) -> bool:
    return True


def _never(config: Any) -> bool:
    return False


_WAV2VEC2 = Family("feature_projection", "encoder.layers", _convolutions, _normalised_by_frame)
# Positions by layer upon layer of convolution and norm (data2vec), convolutions in each block (Conformer): neither is
# masked, and what was zero beyond the end does not stay so.
_UNMASKED = Family("feature_projection", "encoder.layers", _convolutions, _never)
_SEAMLESS = Family(  # its adapter is not masked
    "feature_projection", "encoder.layers", _stacked, _never, depth="speech_encoder_layers"
)

FAMILIES: dict[str, Family] = {
    "whisper": Family("conv2", "layers", _whisper, _always, front_axis=2, depth="encoder_layers"),
    "moonshine": Family(  # group norm over all time
        "conv3", "layers", _moonshine, _never, front_axis=2, depth="encoder_num_hidden_layers"
    ),
    "wav2vec2": _WAV2VEC2,
    "hubert": _WAV2VEC2,
    "wavlm": replace(_WAV2VEC2, first_shares=True),
    "unispeech": _WAV2VEC2,
    "unispeech-sat": _WAV2VEC2,
    "data2vec-audio": _UNMASKED,
    "wav2vec2-conformer": _UNMASKED,
    "wav2vec2-bert": Family("feature_projection", "encoder.layers", _stacked, _no_adapter),
    "seamless_m4t": _SEAMLESS,
    "seamless_m4t_v2": _SEAMLESS,
    "parakeet_encoder": Family("subsampling", "layers", _parakeet, _always),
    "speech_to_text": Family(  # convolutions without masks
        "conv", "layers", _speech_to_text, _never, depth="encoder_layers"
    ),
}
"""By `model_type` of the encoder's configuration."""
