"""A commented `study.toml` to begin with, made from the settings themselves: what each means, and its default."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import fields
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from otoscope.asr import DECODERS, PRESETS
from otoscope.study.config import StudyConfig
from otoscope.study.tables import DecodingConfig, FurtherProbeConfig, ProbeConfig, RecogniserConfig
from otoscope.study.toml import toml_value

__all__ = ["study_template"]

WIDTH = 100

KEPT = "\0"
"""Stands for a space at which no line ends."""

EXAMPLES: dict[str, Any] = {
    "format": "tsv",
    "parts": ("train-clean-100", "dev-*"),
    "findings": ("F1", "F2", "F7"),
    "matrices": "ends",
    "content": ("phones", "words"),
    "content_at": "ends",
    "decoder": "transformer",
    "pieces": 128,
}
"""Settings that have no default, or whose default says little, as they could be set."""

PROBES: dict[str, dict[str, Any]] = {
    "babble": {"noise": "babble", "noise_db": 10.0},
    "coarse": {"grid": 2},
    "half": {"half": 0, "splits": ("test",), "utterances": 100},
}

HEAD = """\
A study for `otoscope study --config FILE`. `otoscope study --config FILE --dry-run` says what it takes.
Lines that begin with "#" and hold a setting show what could be set; those of the recognisers show its default.
Settings with their ranges: docs/study.md, and `otoscope study schema` for editors."""


def study_template(config: StudyConfig) -> str:
    """A study as TOML, with comments.

    Arguments:
        config: what the file asks for, such as `StudyConfig.default()`.

    Returns:
        A file that reads as `config`. Settings at their default stand there as well, and those without one behind "#".

    >>> StudyConfig.of(**__import__("tomllib").loads(study_template(StudyConfig.default()))) == StudyConfig.default()
    True
    """
    tables = ("recognisers", "probe", "probes", "decoding")
    lines = [*_comment(HEAD), *_settings(config, [name for name in StudyConfig.model_fields if name not in tables])]
    lines += ["", *_comment(_said(StudyConfig, "probe")), "[probe]", *_settings(config.probe, ProbeConfig.model_fields)]
    lines += ["", *_comment(_said(StudyConfig, "probes")), *_further(config)]
    lines += ["", *_comment(_said(StudyConfig, "decoding")), "[decoding]"]
    lines += _settings(config.decoding, DecodingConfig.model_fields)
    lines += ["", *_comment(_said(StudyConfig, "recognisers"))]
    for i, (name, recogniser) in enumerate(config.recognisers.items()):
        lines += ["", f"[recognisers.{toml_value(name)}]", *_recogniser(recogniser, told=i == 0)]
    return "\n".join(lines) + "\n"


def _settings(table: BaseModel, names: Any) -> Iterator[str]:
    """Each setting: what it means, its default, its value."""
    for name in names:
        field, value = type(table).model_fields[name], getattr(table, name)
        yield ""
        yield from _comment(f"{field.description} {_default(field)}".strip())
        if value is None:
            yield f"# {name} = {toml_value(EXAMPLES[name])}"
            continue
        yield f"{name} = {toml_value(value)}"
        if name in EXAMPLES and value != EXAMPLES[name]:
            yield f"# {name} = {toml_value(EXAMPLES[name])}"


def _further(config: StudyConfig) -> Iterator[str]:
    """The further probe sets there are, and examples of others."""
    about = FurtherProbeConfig.model_fields
    for name, field in about.items():
        yield from _comment(f"{name}: {field.description}")
    for name, own in config.probes.items():
        yield f"[probes.{toml_value(name)}]"
        yield from (f"{k} = {toml_value(v)}" for k, v in own.model_dump(exclude_defaults=True).items())
        yield ""
    for name, example in PROBES.items():
        if name not in config.probes:
            yield f"# [probes.{name}]"
            yield from (f"# {k} = {toml_value(v)}" for k, v in example.items())


def _recogniser(recogniser: RecogniserConfig, *, told: bool) -> Iterator[str]:
    """A recogniser's table; the first one tells what its settings mean. All list the defaults of their size."""
    for name, field in RecogniserConfig.model_fields.items():
        if told:
            yield from _comment(f"{field.description} {_default(field)}".strip())
        value = getattr(recogniser, name)
        if value is not None:
            yield f"{name} = {toml_value(value)}"
        elif told:
            yield f"# {name} = {toml_value(EXAMPLES[name])}"
        preset = PRESETS[recogniser.architecture][recogniser.size]
        if name == "settings":
            yield from _listed("unless changed", preset.model)
        elif name == "decoder_settings" and told:
            for kind, decoder in DECODERS.items():
                yield from _listed(f"{kind}, unless changed", decoder.config())
        elif name == "training":
            yield from _listed("unless changed", preset.training)


def _listed(what: str, settings: Any) -> list[str]:
    """The settings of a network or a training with their values."""
    values = {f.name: getattr(settings, f.name) for f in fields(settings)}
    text = ", ".join(f"{k}{KEPT}={KEPT}{toml_value(v)}" for k, v in values.items() if v is not None)
    unset = "".join(f", {k}{KEPT}not{KEPT}set" for k, v in values.items() if v is None)
    return [line.replace(KEPT, " ") for line in _comment(f"{what}: {text}{unset}")]


def _said(model: type[BaseModel], name: str) -> str:
    return model.model_fields[name].description or ""


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return ""
    return "Default: none." if field.default is None else f"Default: {toml_value(field.default)}."


def _comment(text: str) -> list[str]:
    rows = [
        row
        for line in text.splitlines()
        for row in textwrap.wrap(line, WIDTH, subsequent_indent="  ", break_on_hyphens=False)
    ]
    return [f"# {row}" for row in rows]
