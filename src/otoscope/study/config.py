"""What a study is asked to do: `study.toml`, validated."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

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
from otoscope.measures import registry
from otoscope.study.needs import SAMPLES

__all__ = ["DecodingConfig", "ProbeConfig", "RecogniserConfig", "StudyConfig"]

MIN_PROBE = 8
"""Utterances that comparing layers takes at the least."""

MIN_SAMPLES = 100
"""Frames to keep at the least for measures that need frames: four seconds of speech."""

MAX_NAME = 40
"""Characters in a recogniser's name: the files of comparisons are named by two of them, within 255 bytes."""

DEFAULT_MEASURES = ("cka", "cka-debiased", "cka-biased", "cca", "svcca", "pwcca")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class RecogniserConfig(_Strict):
    """One recogniser: an architecture, a named size, and any of its settings changed.

    `decoder` adds an attention decoder to the CTC output; `pieces` asks for so many sentencepiece units in place of
    characters.
    """

    architecture: Literal["cnn", "lstm", "transformer", "conformer"]
    size: Literal["small", "base"] = "base"
    settings: dict[str, Any] = {}
    decoder: Literal["lstm", "transformer"] | None = None
    decoder_settings: dict[str, Any] = {}
    pieces: int | None = Field(default=None, ge=2)
    training: dict[str, Any] = {}

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


class DecodingConfig(_Strict):
    """How test is decoded besides greedily.

    `ngram` is the order of a language model of words made from the training transcripts (0: none), for a beam search
    whose weights are chosen on dev; `beam` is how many hypotheses it keeps.
    """

    ngram: int = Field(default=0, ge=0, le=5)
    beam: int = Field(default=50, ge=1)

    @field_validator("ngram")
    @classmethod
    def _order(cls, value: int) -> int:
        if value == 1:
            raise ValueError("a language model of single words takes no context into account: expected 0 or 2 to 5")
        return value


class ProbeConfig(_Strict):
    """The utterances whose representations are compared: none of them trained on."""

    splits: tuple[str, ...] = ("dev", "test")
    utterances: int = Field(default=300, ge=MIN_PROBE)

    @field_validator("splits")
    @classmethod
    def _unseen(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value or len(set(value)) != len(value):
            raise ValueError("expected one or more different splits")
        if "train" in value:
            raise ValueError("layers are compared on speech that was not trained on: leave train out")
        return value


class StudyConfig(_Strict):
    """A whole study.

    `corpus` is "default", the name of a fetched corpus, or a path, made absolute where there is such a folder; `parts`
    are the subsets of it that are used, by name or glob, all where none is named; `recognisers` maps names to what to
    train; every recogniser is trained once with each of `seeds`; `watch` compares layers while they train, too;
    `measures` are registered names, `samples` the most frames that are kept for those which need frames; `intervals`
    asks for 95 % intervals by leaving out blocks of speakers.
    """

    title: str = ""
    corpus: str = "default"
    format: str | None = None
    parts: tuple[str, ...] = ()
    recognisers: dict[str, RecogniserConfig]
    seeds: tuple[Annotated[int, Field(ge=0, lt=2**32)], ...] = (0,)
    measures: tuple[str, ...] = DEFAULT_MEASURES
    intervals: bool = False
    watch: bool = False
    samples: int = Field(default=SAMPLES, ge=MIN_SAMPLES)
    probe: ProbeConfig = ProbeConfig()
    decoding: DecodingConfig = DecodingConfig()

    @field_validator("corpus")
    @classmethod
    def _corpus(cls, value: str) -> str:
        return _resolved(value)

    @field_validator("recognisers")
    @classmethod
    def _names(cls, value: dict[str, RecogniserConfig]) -> dict[str, RecogniserConfig]:
        if not value:
            raise ValueError("name at least one recogniser")
        if bad := [name for name in value if not re.fullmatch(rf"(?!\.)[A-Za-z0-9._-]{{1,{MAX_NAME}}}", name)]:
            raise ValueError(
                f"a recogniser's name becomes a folder's: expected at most {MAX_NAME} of A-Z, a-z, 0-9, '.', '_' and "
                f"'-', no '.' first, got {', '.join(map(repr, bad))}"
            )
        return value

    @field_validator("measures")
    @classmethod
    def _measures(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if unknown := [m for m in value if m not in registry.names()]:
            raise ValueError(f"no such measure: {', '.join(unknown)}. There are: {', '.join(registry.names())}")
        if not value or len(set(value)) != len(value):
            raise ValueError("expected one or more different measures")
        return value

    @model_validator(mode="after")
    def _settings(self) -> StudyConfig:
        if not self.seeds or len(set(self.seeds)) != len(self.seeds):
            raise ValueError(f"seeds must be one or more different numbers, got {list(self.seeds)}")
        for recogniser in self.recognisers.values():
            recogniser.model()
            recogniser.attention()
            if recogniser.train().ctc_weight == 0 and self.decoding.ngram:
                raise StudyError(
                    f"decoding has ngram = {self.decoding.ngram}, a search by the CTC output, and a recogniser has "
                    "ctc_weight = 0, which leaves that untrained; set ctc_weight above 0, or ngram to 0"
                )
        return self

    @classmethod
    def default(
        cls,
        corpus: str | Path = "default",
        *,
        recognisers: Sequence[str] = ("cnn", "lstm", "transformer"),
        size: Literal["small", "base"] | None = None,
        training: Mapping[str, Any] | None = None,
        **fields: Any,
    ) -> StudyConfig:
        """The study of a CNN, an LSTM and a Transformer on a corpus.

        `size` is "small" on the embedded corpus and "base" elsewhere unless given; `training` changes the training
        of every recogniser; `fields` are those of the class.
        """
        size = size or ("small" if str(corpus) == "default" else "base")
        title = fields.pop("title", None) or f"{', '.join(recognisers)} on {Path(corpus).name}"
        chosen = {n: {"architecture": n, "size": size, "training": dict(training or {})} for n in recognisers}
        return cls.of(title=title, corpus=str(corpus), recognisers=chosen, **fields)

    @classmethod
    def of(cls, **fields: Any) -> StudyConfig:
        """A validated configuration. Raises StudyError naming the field, what came and what was expected."""
        try:
            return cls.model_validate(fields)
        except ValidationError as error:
            rows = [
                f"{'.'.join(map(str, e['loc'])) or 'study'}: {e['msg']} (got {e['input']!r})" for e in error.errors()
            ]
            raise StudyError("the study's configuration cannot be used:\n  " + "\n  ".join(rows)) from error

    @classmethod
    def read(cls, path: Path) -> StudyConfig:
        """Reads `study.toml`. Raises StudyError for a file that is missing, not TOML, or not a study."""
        try:
            fields = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise StudyError(f"{path} cannot be read: {error.strerror}") from error
        except tomllib.TOMLDecodeError as error:
            raise StudyError(f"{path} is not TOML: {error}") from error
        return cls.of(**fields)

    def training_differences(self, other: StudyConfig) -> list[str]:
        """The fields in which two studies ask for different training: none where one can go on with the other's runs.

        Compared is what is meant, not how it is written: recognisers by their sizes and training, with everything
        that a preset fills in; seeds in any order; relative and absolute paths of one corpus. Title, measures,
        watching and probe set do not matter to training.

        Returns:
            Those of "corpus", "format", "parts", "recognisers" and "seeds" that differ, in this order.

        Example:
            >>> one = StudyConfig.default(recognisers=["lstm"], training={"epochs": 16, "speeds": (1.0,)})
            >>> StudyConfig.default(recognisers=["lstm"], measures=["cka"]).training_differences(one)
            []
            >>> StudyConfig.default(recognisers=["lstm"], seeds=[0, 1]).training_differences(one)
            ['seeds']
        """
        mine, others = self._trained(), other._trained()
        return [name for name in mine if mine[name] != others[name]]

    def _trained(self) -> dict[str, Any]:
        return {
            "corpus": _resolved(self.corpus),
            "format": self.format,
            "parts": sorted(self.parts),
            "recognisers": {
                name: (r.model(), r.attention(), r.pieces, r.train()) for name, r in self.recognisers.items()
            },
            "seeds": sorted(self.seeds),
        }

    def toml(self) -> str:
        """The configuration as `study.toml`."""
        fields = self.model_dump(exclude={"recognisers"}, exclude_none=True)
        tables = {name: fields.pop(name) for name in ("probe", "decoding")}
        lines = [f"{key} = {_toml(value)}" for key, value in fields.items()]
        tables |= {
            f"recognisers.{_toml(name)}": recogniser.model_dump(exclude_none=True)
            for name, recogniser in self.recognisers.items()
        }
        for name, table in tables.items():
            lines += ["", f"[{name}]", *(f"{key} = {_toml(value)}" for key, value in table.items())]
        return "\n".join(lines) + "\n"


def _changed(preset: Any, settings: Mapping[str, Any], of: str) -> Any:
    """A preset with some settings changed. TOML has lists where configurations have tuples."""
    known = set(preset.__dataclass_fields__)
    if unknown := sorted(set(settings) - known):
        raise StudyError(f"{of} has no setting {', '.join(unknown)}; it has {', '.join(sorted(known))}")
    return replace(preset, **{k: tuple(v) if isinstance(v, list) else v for k, v in settings.items()})


def _resolved(corpus: str) -> str:
    """The absolute path of a corpus folder; what is no folder here, such as a fetched corpus's name, as it is."""
    path = Path(corpus).expanduser()
    return str(path.resolve()) if corpus != "default" and path.exists() else corpus


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_toml(k)} = {_toml(v)}" for k, v in value.items()) + " }" if value else "{}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_toml, value)) + "]"
    # Strings, numbers and booleans are written alike in both, but for the one control character that JSON lets pass.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
