"""Every encoder with every option that changes what it computes, and every decoder, in sizes that take no time."""

import torch

from otoscope.asr import CharacterTokens
from otoscope.asr.models import (
    CnnConfig,
    ConformerConfig,
    LstmConfig,
    LstmDecoderConfig,
    TransformerConfig,
    TransformerDecoderConfig,
)

TOKENS = CharacterTokens.of(["A B C"])

SIZES = {"blocks": 3, "units": 24}
VGG = {"front_end": "vgg", "front_end_channels": 4}
HEADS = {"heads": 2, "feed_forward": 40}
CONDITIONED = {"intermediate_ctc": (0, 1), "self_conditioning": True}

ENCODERS = {
    "cnn": CnnConfig(**SIZES, kernel=5),
    "cnn-separable": CnnConfig(**SIZES, kernel=5, separable=True),
    "cnn-conditioned": CnnConfig(**SIZES, kernel=5, **CONDITIONED),
    "cnn-vgg": CnnConfig(**SIZES, kernel=5, **VGG),
    "lstm": LstmConfig(**SIZES),
    "lstm-unidirectional": LstmConfig(**SIZES, bidirectional=False),
    "lstm-conditioned": LstmConfig(**SIZES, **CONDITIONED),
    "lstm-vgg": LstmConfig(**SIZES, **VGG),
    "transformer": TransformerConfig(**SIZES, **HEADS),
    "transformer-relative": TransformerConfig(**SIZES, **HEADS, positions="relative"),
    "transformer-vgg": TransformerConfig(**SIZES, **HEADS, **VGG),
    "transformer-intermediate": TransformerConfig(**SIZES, **HEADS, intermediate_ctc=(1,)),
    "transformer-conditioned": TransformerConfig(**SIZES, **HEADS, **CONDITIONED),
    "conformer": ConformerConfig(**SIZES, **HEADS, kernel=7),
    "conformer-rotary": ConformerConfig(**SIZES, **HEADS, kernel=7, positions="rotary"),
    "conformer-vgg": ConformerConfig(**SIZES, **HEADS, kernel=7, **VGG),
    "conformer-conditioned": ConformerConfig(**SIZES, **HEADS, kernel=7, **CONDITIONED),
}

DECODERS = {
    "lstm": LstmDecoderConfig(blocks=2, units=20, attention=12),
    "transformer": TransformerDecoderConfig(blocks=2, units=20, heads=2, feed_forward=32),
}


def utterances(*lengths):
    return [torch.randn(n, 80, generator=torch.Generator().manual_seed(n)) for n in lengths]
