"""The JSON schema of `findings.json`, from the dataclasses that are written to it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, Literal

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from otoscope.study.findings.finding import Finding
from otoscope.study.missing import Missing

__all__ = ["SCHEMA_VERSION", "About", "FindingsFile", "schema"]

SCHEMA_VERSION: Final = 2

DIALECT = "https://json-schema.org/draft/2020-12/schema"


@dataclass(frozen=True)
class About:
    """Which study findings are of.

    `measures` are the study's, in its order: what it claims, it claims by the first. `created` is the date and time of
    the findings in ISO 8601, `results` the SHA-256 of the `results.nc` that they were found in, "" where there was no
    such file, `versions` are by package those that made the results. `missing` are the runs, and the parts of runs,
    that the study was asked for and does not have: the findings are without them.
    """

    title: str
    corpus: str
    corpus_hash: str
    measures: list[str]
    versions: dict[str, str]
    created: str
    results: str = ""
    missing: list[Missing] = field(default_factory=list)


@dataclass(frozen=True)
class FindingsFile:
    """What a study found: `findings.json`. A number that is not defined is null."""

    schema_version: Literal[2]
    about: About
    findings: list[Finding]


class _Schema(GenerateJsonSchema):
    """Numbers may be null; objects have all that is described, and nothing else."""

    def float_schema(self, schema: core_schema.FloatSchema) -> JsonSchemaValue:
        return {"type": ["number", "null"]}

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        inner = self.generate_inner(schema["schema"])
        return inner if inner == {"type": ["number", "null"]} else super().nullable_schema(schema)

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])  # a file is written with all of its keys

    def dataclass_schema(self, schema: core_schema.DataclassSchema) -> JsonSchemaValue:
        made = super().dataclass_schema(schema)
        return {**made, "required": list(made["properties"]), "additionalProperties": False}

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def schema() -> dict[str, Any]:
    """The JSON schema (draft 2020-12) of `findings.json`, which `docs/findings.schema.json` holds.

    >>> schema()["properties"]["schema_version"]["const"]
    2
    """
    made = TypeAdapter(FindingsFile).json_schema(schema_generator=_Schema)
    return {"$schema": DIALECT, **made, "title": "findings.json"}
