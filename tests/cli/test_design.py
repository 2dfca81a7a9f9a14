"""`otoscope study new` and `study schema`: a file that validates as it stands, and a schema that is current."""

import json
import re
import tomllib
from pathlib import Path

import jsonschema
import pytest
from pydantic import BaseModel

from otoscope import StudyConfig, StudyError
from otoscope.cli import main
from otoscope.study.schema import study_schema
from otoscope.study.tables import DecodingConfig, FurtherProbeConfig, ProbeConfig, RecogniserConfig
from otoscope.study.template import study_template

SCHEMA = Path(__file__).parents[2] / "docs" / "study.schema.json"


@pytest.fixture
def run(capsys):
    def run(*arguments):
        with pytest.raises(SystemExit) as end:
            main([str(a) for a in arguments])
        out, err = capsys.readouterr()
        return end.value.code, out, err

    return run


def test_a_new_file_is_a_study_as_it_stands(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, err = run("study", "new")
    assert (code, out) == (0, "study.toml\n"), err
    text = Path("study.toml").read_text(encoding="utf-8")
    assert StudyConfig.read(Path("study.toml")) == StudyConfig.default()
    code, _, err = run("study", "new")
    assert code == 1
    assert "study.toml is there already, and is not replaced" in err
    assert Path("study.toml").read_text(encoding="utf-8") == text
    assert [p.name for p in tmp_path.iterdir()] == ["study.toml"]


def test_a_new_file_asks_for_what_was_given(run, an4_subset, tmp_path):
    file = tmp_path / "designs" / "own.toml"
    given = ("--corpus", an4_subset, "--recognisers", "lstm", "conformer", "--size", "small", "--seeds", 1, 2)
    code, out, err = run("study", "new", file, *given)
    assert (code, out) == (0, f"{file}\n"), err
    config = StudyConfig.read(file)
    assert config == StudyConfig.default(str(an4_subset), recognisers=["lstm", "conformer"], size="small", seeds=[1, 2])
    code, out, err = run("study", "--config", file, "--dry-run", "--json")
    assert code == 0, err
    plan = json.loads(out)
    assert plan["comparisons"] == sum(plan["by_kind"].values())
    assert set(plan["by_question"]) == {"matrices", *(f"F{i}" for i in range(1, 11))}
    code, out, err = run("study", "--config", file, "--dry-run")
    assert code == 0, err
    assert re.search(r"by kind +within \d+", out)
    assert re.search(r"asked by +matrices \d+, F1 \d+", out)


@pytest.mark.parametrize("kind", [StudyConfig, RecogniserConfig, ProbeConfig, FurtherProbeConfig, DecodingConfig])
def test_every_setting_is_explained_in_a_new_file_and_in_the_schema(kind: type[BaseModel]):
    written = study_template(StudyConfig.default())
    text = re.sub(r"\n#\s+", " ", written)
    schema = study_schema()
    properties = schema["properties"] if kind is StudyConfig else schema["$defs"][kind.__name__]["properties"]
    for name, field in kind.model_fields.items():
        assert field.description.endswith("."), name
        assert field.description in text, name
        assert properties[name]["description"] == field.description
        assert re.search(rf"^(# )?(\[{name}[\].]|{name} = )", written, re.MULTILINE), name


def test_what_is_shown_behind_a_sign_can_be_set():
    """Every commented setting, in place of the one above it, gives a study too."""
    lines = study_template(StudyConfig.default()).splitlines()
    shown = [i for i, line in enumerate(lines) if re.match(r"# (\w+ = |\[)", line)]
    assert len(shown) > 12
    for i in shown:
        line = lines[i][2:]
        if line.startswith("["):
            own = [line, *_until_blank(lines[i + 1 :])]
            config = StudyConfig.of(**tomllib.loads("\n".join([*lines, *own])))
            assert config.probes
            continue
        if any(lines[j].startswith("# [") for j in range(i - 4, i)):
            continue  # of a probe set, with its table above
        name = line.partition(" =")[0]
        changed = [other for other in lines[:i] if not other.startswith(f"{name} = ")] + [line, *lines[i + 1 :]]
        text = "\n".join(changed)
        if name == "decoder":
            text = text.replace("training = {}", "training = { ctc_weight = 0.3 }", 1)
        assert StudyConfig.of(**tomllib.loads(text)) != StudyConfig.default(), line


def _until_blank(lines):
    rows = []
    for line in lines:
        if not re.match(r"# \w+ = ", line):
            break
        rows.append(line[2:])
    return rows


def test_the_schema_in_the_docs_is_current(run):
    code, out, err = run("study", "schema")
    assert code == 0, err
    assert json.loads(out) == json.loads(SCHEMA.read_text(encoding="utf-8"))


def test_the_schema_accepts_studies_and_refuses_what_the_package_refuses():
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    one = {"recognisers": {"a": {"architecture": "cnn"}}}
    for recipe in sorted((SCHEMA.parents[1] / "recipes").glob("*.toml")):
        jsonschema.validate(tomllib.loads(recipe.read_text(encoding="utf-8")), schema)
    jsonschema.validate(json.loads(StudyConfig.of(**one).model_dump_json()), schema)
    for wrong in (
        {},
        {"recognisers": {}},
        {"recognisers": {"a/b": {"architecture": "cnn"}}},
        {"recognisers": {"a": {"architecture": "rnn"}}},
        {"recognisers": {"a": {"architecture": "cnn", "settings": {"unit": 3}}}},
        {"recognisers": {"a": {"architecture": "cnn", "training": {"epoch": 3}}}},
        one | {"colour": 1},
        one | {"seeds": [-1]},
        one | {"seeds": []},
        one | {"findings": ["F11"]},
        one | {"matrices": "some"},
        one | {"content": ["letters"]},
        one | {"samples": 99},
        one | {"probe": {"utterances": 7}},
        one | {"probes": {"a": {"noise_db": 61}}},
        one | {"probes": {"a b": {"grid": 2}}},
    ):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, schema)
        with pytest.raises(StudyError):
            StudyConfig.of(**wrong)
