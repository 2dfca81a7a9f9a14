"""The tables of a `study.toml`: a recogniser, the probe sets, how test is decoded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from otoscope.asr import (
    DECODERS,
    PRESETS,
    CharacterTokens,
    DecoderConfig,
    ModelConfig,
    PieceTokens,
    Tokens,
    TrainingConfig,
)
from otoscope.errors import StudyError

__all__ = ["MIN_PROBE", "DecodingConfig", "FurtherProbeConfig", "ProbeConfig", "RecogniserConfig", "Strict"]

MIN_PROBE = 8
"""Utterances that comparing layers takes at the least."""


class Strict(BaseModel):
    """A table that refuses what it does not know and is not changed once it is read."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class RecogniserConfig(Strict):
    """One recogniser: an architecture, a named size, and any of its settings changed."""

    architecture: Literal["cnn", "lstm", "transformer", "conformer"] = Field(
        description="What its blocks are made of: cnn, lstm, transformer or conformer."
    )
    size: Literal["small", "base"] = Field(
        default="base", description="The named size that its settings and its training begin with: small or base."
    )
    settings: dict[str, Any] = Field(
        default={}, description="Sizes of the network that differ from those of the size, such as blocks."
    )
    decoder: Literal["lstm", "transformer"] | None = Field(
        default=None, description="An attention decoder beside the CTC output; takes a training.ctc_weight below 1."
    )
    decoder_settings: dict[str, Any] = Field(default={}, description="Sizes of the attention decoder that differ.")
    pieces: int | None = Field(
        default=None, ge=2, description="So many sentencepiece units as tokens, in place of characters."
    )
    training: dict[str, Any] = Field(
        default={}, description="Settings of the training that differ from those of the size, such as epochs."
    )

    def model(self) -> ModelConfig:
        """The network's sizes."""
        preset = PRESETS[self.architecture][self.size].model
        config: ModelConfig = _changed(preset, self.settings, self.architecture)
        return config

    def attention(self) -> DecoderConfig | None:
        """The sizes of the attention decoder, if there is to be one."""
        if self.decoder is None:
            if self.decoder_settings:
                raise StudyError("decoder_settings are given and no decoder; add decoder = 'lstm' or 'transformer'")
            return None
        config: DecoderConfig = _changed(
            DECODERS[self.decoder].config(), self.decoder_settings, f"the {self.decoder} decoder"
        )
        return config

    def tokens(self, texts: Sequence[str]) -> Tokens:
        """What it puts out, from the training transcripts."""
        return CharacterTokens.of(texts) if self.pieces is None else PieceTokens.train(texts, size=self.pieces)

    def train(self) -> TrainingConfig:
        """How it is trained: the preset of its size, with the changes in `training`."""
        preset = PRESETS[self.architecture][self.size].training
        config: TrainingConfig = _changed(preset, self.training, "training")
        if config.ctc_weight < 1 and self.decoder is None:
            raise StudyError(
                f"training has ctc_weight = {config.ctc_weight}, which leaves a share to an attention decoder, and "
                "there is none; add decoder = 'lstm' or 'transformer', or leave ctc_weight at 1"
            )
        if config.ctc_weight == 1 and self.decoder is not None:
            raise StudyError(
                f"there is a {self.decoder} decoder and training has ctc_weight = 1, which leaves it untrained; set "
                "ctc_weight below 1, such as 0.3, or leave decoder out"
            )
        return config


class DecodingConfig(Strict):
    """How test is decoded besides greedily."""

    ngram: int = Field(
        default=0,
        ge=0,
        le=5,
        description="The order, 2 to 5, of a language model of words of the training transcripts, for a beam search "
        "whose weights are chosen on dev; 0 for none.",
    )
    beam: int = Field(default=50, ge=1, description="Hypotheses that a search keeps.")

    @field_validator("ngram")
    @classmethod
    def _order(cls, value: int) -> int:
        if value == 1:
            raise ValueError("a language model of single words takes no context into account: expected 0 or 2 to 5")
        return value


class ProbeConfig(Strict):
    """The utterances whose representations are compared: none of them trained on."""

    splits: tuple[str, ...] = Field(
        default=("dev", "test"), description="The splits that they come from; not train, which recognisers know."
    )
    utterances: int = Field(default=300, ge=MIN_PROBE, description="At most so many, drawn from these splits.")

    @field_validator("splits")
    @classmethod
    def _unseen(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return unseen(value)


class FurtherProbeConfig(Strict):
    """A further probe set, on which findings are looked at again: it says what differs from the main one."""

    splits: tuple[str, ...] | None = Field(default=None, description="The splits that it comes from [those of probe].")
    utterances: int | None = Field(default=None, ge=MIN_PROBE, description="At most so many [as many as probe].")
    noise: Literal["white", "pink", "babble"] | None = Field(
        default=None, description="Noise added to the audio; babble is of voices of the training split."
    )
    noise_db: float | None = Field(
        default=None, ge=-20, le=60, description="Speech to noise, 20·log10(rms(speech) / rms(noise)), in dB."
    )
    grid: Literal[1, 2, 4] = Field(
        default=1, description="Frames are averaged over so many of the common frame grid before they are compared."
    )
    half: Literal[0, 1] | None = Field(
        default=None, description="Only the first (0) or the second (1) half of the speakers, halved at random."
    )

    @field_validator("splits")
    @classmethod
    def _unseen(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        return None if value is None else unseen(value)

    @model_validator(mode="after")
    def _differs(self) -> FurtherProbeConfig:
        if (self.noise is None) != (self.noise_db is None):
            raise ValueError("noise (white, pink or babble) and noise_db (in dB) are given together or not at all")
        if self == FurtherProbeConfig.model_construct():
            raise ValueError("nothing differs from [probe]: give splits, utterances, noise, grid or half")
        return self


def unseen(splits: tuple[str, ...]) -> tuple[str, ...]:
    """The splits of a probe set. Raises ValueError for none, for one given twice, and for train."""
    if not splits or len(set(splits)) != len(splits):
        raise ValueError("expected one or more different splits")
    if "train" in splits:
        raise ValueError("layers are compared on speech that was not trained on: leave train out")
    return splits


def _changed(preset: Any, settings: Mapping[str, Any], of: str) -> Any:
    """A preset with some settings changed. TOML has lists where configurations have tuples."""
    known = set(preset.__dataclass_fields__)
    if unknown := sorted(set(settings) - known):
        raise StudyError(f"{of} has no setting {', '.join(unknown)}; it has {', '.join(sorted(known))}")
    return replace(preset, **{k: tuple(v) if isinstance(v, list) else v for k, v in settings.items()})
