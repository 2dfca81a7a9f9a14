"""The JSON schema of `study.toml`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from typing import Any

from otoscope.asr import ARCHITECTURES, DECODERS, TrainingConfig
from otoscope.measures import registry
from otoscope.study.config import StudyConfig

__all__ = ["study_schema"]


def study_schema() -> dict[str, Any]:
    """What a `study.toml` may hold, as JSON Schema (draft 2020-12): types, ranges, defaults, descriptions.

    Settings of networks and trainings are listed by name. What goes across fields, such as a decoder and its share of
    the loss, is checked when a study is read.

    >>> study_schema()["properties"]["seeds"]["default"]
    [0]
    """
    schema = StudyConfig.model_json_schema()
    tables, of_study = schema["$defs"], schema["properties"]
    recogniser = tables["RecogniserConfig"]["properties"]
    recogniser["settings"]["propertyNames"] = _names(a.config for a in ARCHITECTURES.values())
    recogniser["decoder_settings"]["propertyNames"] = _names(d.config for d in DECODERS.values())
    recogniser["training"]["propertyNames"] = _names([TrainingConfig])
    for name, most in (("recognisers", 40), ("probes", 20)):
        of_study[name]["propertyNames"] = {"pattern": f"^(?!\\.)[A-Za-z0-9._-]{{1,{most}}}$"}
    of_study["recognisers"]["minProperties"] = 1
    of_study["measures"]["items"]["examples"] = list(registry.names())
    for one in (of_study["seeds"], of_study["measures"], tables["ProbeConfig"]["properties"]["splits"]):
        one |= {"minItems": 1, "uniqueItems": True}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "study.toml"}


def _names(kinds: Iterable[type[Any]]) -> dict[str, Any]:
    return {"enum": sorted({field.name for kind in kinds for field in fields(kind)})}
