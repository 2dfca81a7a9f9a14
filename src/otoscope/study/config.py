"""What a study is asked to do: `study.toml`, validated."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from otoscope.errors import StudyError
from otoscope.measures import registry
from otoscope.study.comparisons import FINDINGS
from otoscope.study.needs import SAMPLES
from otoscope.study.tables import (
    MIN_PROBE,
    DecodingConfig,
    FurtherProbeConfig,
    ProbeConfig,
    RecogniserConfig,
    Strict,
)
from otoscope.study.toml import toml_value

__all__ = ["MIN_PROBE", "DecodingConfig", "FurtherProbeConfig", "ProbeConfig", "RecogniserConfig", "StudyConfig"]

MIN_SAMPLES = 100
"""Frames to keep at the least for measures that need frames: four seconds of speech."""

MAX_NAME = 40
"""Characters in a recogniser's name: the files of comparisons are named by two of them, within 255 bytes."""

MAX_PROBE_NAME = 20
"""Characters in the name of a further probe set."""

DEFAULT_MEASURES = ("cka", "cka-debiased", "cka-biased", "cca", "svcca", "pwcca")

Labels = Literal["phones", "words", "speaker", "position", "relative-position", "duration", "word-duration", "log-mel"]


class StudyConfig(Strict):
    """A whole study: recognisers × seeds × checkpoints × layers × measures × probe sets, and what is asked of them."""

    title: str = Field(default="", description="The report's heading.")
    corpus: str = Field(
        default="default",
        description='A corpus folder (made absolute), the name of a fetched corpus, or "default", the embedded one.',
    )
    format: str | None = Field(default=None, description="The corpus layout, where it is not to be found out.")
    parts: tuple[str, ...] = Field(
        default=(), description="The subsets of the corpus that are used, by name or glob; all where none is named."
    )
    recognisers: dict[str, RecogniserConfig] = Field(
        description="What is trained, by name: at most 40 letters, digits, '.', '_' and '-', no '.' first."
    )
    seeds: tuple[Annotated[int, Field(ge=0, lt=2**32)], ...] = Field(
        default=(0,), description="Every recogniser is trained once with each; findings on several seeds carry further."
    )
    findings: Literal["all"] | tuple[str, ...] = Field(
        default="all",
        description='The findings that are asked for, from "F1" to "F10", or "all": they choose what is compared.',
        json_schema_extra={
            "anyOf": [
                {"const": "all"},
                {"type": "array", "items": {"enum": list(FINDINGS)}, "uniqueItems": True},
            ]
        },
    )
    matrices: Literal["every", "ends"] = Field(
        default="every",
        description="Whether every layer is compared with every other at every checkpoint, for the report's figures "
        "through training, or only at both ends of it: several times less work in a study of many checkpoints.",
    )
    measures: tuple[str, ...] = Field(
        default=DEFAULT_MEASURES, description="Similarity measures, by their registered names."
    )
    intervals: bool = Field(
        default=False, description="Whether similarities get 95 % intervals, by leaving out blocks of speakers in turn."
    )
    samples: int = Field(
        default=SAMPLES, ge=MIN_SAMPLES, description="The most frames that are kept for measures that need frames."
    )
    content: tuple[Labels, ...] = Field(
        default=(),
        description="What layers are searched for: phones, words, speaker, position, relative-position, duration, "
        "word-duration, log-mel.",
    )
    content_at: Literal["every", "ends"] = Field(
        default="every",
        description="Whether layers are searched at every checkpoint, or only at both ends of training: several times "
        "less work in a study of many checkpoints.",
    )
    watch: bool = Field(default=False, description="Whether layers are compared while they train, too.")
    probe: ProbeConfig = Field(default=ProbeConfig(), description="The speech that layers are compared on.")
    probes: dict[str, FurtherProbeConfig] = Field(
        default={},
        description="Further probe sets, by name, on which findings are looked at again: at most 20 letters, digits, "
        "'.', '_' and '-', no '.' first.",
    )
    decoding: DecodingConfig = Field(
        default=DecodingConfig(), description="Further ways to decode test, which is always decoded greedily."
    )

    @field_validator("corpus")
    @classmethod
    def _corpus(cls, value: str) -> str:
        return _resolved(value)

    @field_validator("recognisers")
    @classmethod
    def _names(cls, value: dict[str, RecogniserConfig]) -> dict[str, RecogniserConfig]:
        if not value:
            raise ValueError("name at least one recogniser")
        _check_names("recogniser", value, MAX_NAME)
        return value

    @field_validator("probes")
    @classmethod
    def _probe_names(cls, value: dict[str, FurtherProbeConfig]) -> dict[str, FurtherProbeConfig]:
        _check_names("probe set", value, MAX_PROBE_NAME)
        return value

    @field_validator("findings", mode="before")
    @classmethod
    def _findings(cls, value: Any) -> Any:
        if value == "all":
            return value
        if not isinstance(value, list | tuple) or any(not isinstance(v, str) or v not in FINDINGS for v in value):
            raise ValueError(f'expected "all" or a list of {", ".join(FINDINGS)}')
        if len(set(value)) != len(value):
            raise ValueError("expected different findings")
        return tuple(value)

    @field_validator("content")
    @classmethod
    def _content(cls, value: tuple[Labels, ...]) -> tuple[Labels, ...]:
        if len(set(value)) != len(value):
            raise ValueError("expected different labels")
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
        for name, recogniser in self.recognisers.items():
            try:
                recogniser.model()
                recogniser.attention()
                trained = recogniser.train()
            except StudyError as error:
                raise ValueError(f"recognisers.{name}: {error}") from error
            if trained.ctc_weight == 0 and self.decoding.ngram:
                raise StudyError(
                    f"decoding has ngram = {self.decoding.ngram}, a search by the CTC output, and a recogniser has "
                    "ctc_weight = 0, which leaves that untrained; set ctc_weight above 0, or ngram to 0"
                )
        return self

    @property
    def asked(self) -> tuple[str, ...]:
        """The ids of the findings that are asked for, in order.

        >>> StudyConfig.default(findings=["F7", "F1"]).asked
        ('F1', 'F7')
        """
        return tuple(id_ for id_ in FINDINGS if self.findings == "all" or id_ in self.findings)

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
        fields = self.model_dump(exclude={"recognisers", "probes"}, exclude_none=True)
        tables = {name: fields.pop(name) for name in ("probe", "decoding")}
        lines = [f"{key} = {toml_value(value)}" for key, value in fields.items()]
        for kind, named in (("probes", self.probes), ("recognisers", self.recognisers)):
            tables |= {f"{kind}.{toml_value(n)}": table.model_dump(exclude_none=True) for n, table in named.items()}
        for name, table in tables.items():
            lines += ["", f"[{name}]", *(f"{key} = {toml_value(value)}" for key, value in table.items())]
        return "\n".join(lines) + "\n"


def _check_names(what: str, names: Mapping[str, object], most: int) -> None:
    """Refuses names that could not become part of a file's."""
    if bad := [name for name in names if not re.fullmatch(rf"(?!\.)[A-Za-z0-9._-]{{1,{most}}}", name)]:
        raise ValueError(
            f"a {what}'s name becomes a folder's: expected at most {most} of A-Z, a-z, 0-9, '.', '_' and "
            f"'-', no '.' first, got {', '.join(map(repr, bad))}"
        )


def _resolved(corpus: str) -> str:
    """The absolute path of a corpus folder; what is no folder here, such as a fetched corpus's name, as it is."""
    path = Path(corpus).expanduser()
    return str(path.resolve()) if corpus != "default" and path.exists() else corpus
