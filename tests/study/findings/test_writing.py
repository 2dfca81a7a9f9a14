"""findings.json: written as its schema says, read back as it was, refused where it is not; the notebook's view."""

from __future__ import annotations

import json
import math
from pathlib import Path

import jsonschema
import numpy as np
import pytest

from otoscope import StudyError
from otoscope.study.findings.finding import Effect, Finding
from otoscope.study.findings.finding_all import find_all
from otoscope.study.findings.schema import About, schema
from otoscope.study.findings.view import Findings
from otoscope.study.findings.writing import about_study, load, save, schema_text
from tests.study.findings.constructed import Draw, study

DOCS = Path(__file__).parents[3] / "docs"
STUDY = About("two & more", "an4", "ab" * 32, ["cka", "cca"], {"otoscope": "1"}, "2026-01-01T00:00:00+00:00")


def effect(value=0.8, low=0.7, high=0.9):
    return Effect(value, low, high, 0.95, 0.001, 0.999, 0.05, math.nan)


def finding(id="F1", of="cnn", measure="cka", **fields):
    return Finding(id, "depth hierarchy", "farther is less similar", of, measure, **fields)


FULL = finding(
    verdict="holds",
    reason="above <0.5>",
    effect=effect(),
    effect_is="Somers' D",
    least=0.5,
    p=0.001,
    corrected=0.004,
    baselines={"untrained": effect(0.1, math.nan, math.nan)},
    beyond={"untrained": effect(0.7)},
    by_run={"cnn/seed0": 0.8, "cnn/seed1": math.nan},
    details={"layers": 7.0},
)


@pytest.fixture(scope="module")
def found():
    """The findings of a constructed study, with real effects and refusals."""
    draw = Draw(0)
    runs = {
        f"cnn/seed{s}": {step: [draw.mixed((0.5, draw.speech)) for _ in range(5)] for step in (0, 9)} for s in range(2)
    }
    results = study(runs, ("within", "shuffled", "to_final"))
    return results, find_all(results)


def test_a_file_is_as_the_schema_says_and_reads_back_as_it_was(found, tmp_path):
    results, findings = found
    path = save(findings, tmp_path / "findings.json", about_study(results))
    content = json.loads(path.read_text(encoding="utf-8"), parse_constant=lambda name: pytest.fail(f"{name} in JSON"))
    jsonschema.validate(content, json.loads((DOCS / "findings.schema.json").read_text(encoding="utf-8")))
    assert content["about"]["measures"] == ["cka"]
    again = load(path)
    assert len(again) == len(findings)
    for one, other in zip(*(sorted(f, key=lambda f: (f.id, f.of)) for f in (again, findings)), strict=True):
        np.testing.assert_equal(vars(one), vars(other))  # NaN equals NaN here


def test_a_full_finding_keeps_everything(tmp_path):
    (again,) = load(save([FULL], tmp_path / "findings.json", STUDY))
    np.testing.assert_equal(vars(again), vars(FULL))


def test_the_schema_in_the_docs_is_current():
    assert (DOCS / "findings.schema.json").read_text(encoding="utf-8") == schema_text()
    jsonschema.Draft202012Validator.check_schema(schema())


def test_findings_are_sorted_by_question_thing_and_measure(tmp_path):
    mixed = [
        ("F10-F1", "a", "cka"),
        ("F2", "b", "cka"),
        ("F2", "a", "cca"),
        ("F2", "a", "cka"),
        ("F1-close", "a", "cka"),
    ]
    path = save([finding(*key) for key in [*mixed, ("F1", "z", "cca")]], tmp_path / "findings.json", STUDY)
    assert [(f.id, f.of, f.measure) for f in load(path)] == [
        ("F1", "z", "cca"),
        ("F1-close", "a", "cka"),
        ("F2", "a", "cka"),
        ("F2", "a", "cca"),
        ("F2", "b", "cka"),
        ("F10-F1", "a", "cka"),
    ]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda c: c["findings"][0].update(verdict="perhaps"), "findings.0.verdict: 'perhaps' is not one of"),
        (lambda c: c["findings"][0].pop("least"), "findings.0: 'least' is a required property"),
        (lambda c: c["findings"][0].update(weight=1), "findings.0: Additional properties are not allowed"),
        (lambda c: c["findings"][0]["effect"].update(low="0.1"), "findings.0.effect"),
        (lambda c: c.pop("about"), "the file: 'about' is a required property"),
        (lambda c: c.update(schema_version=1), "has findings schema 1; this Otoscope reads schema 2"),
    ],
)
def test_what_is_not_as_the_schema_says_is_refused_by_name(tmp_path, change, told):
    path = save([FULL], tmp_path / "findings.json", STUDY)
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(StudyError, match=told):
        load(path)


def test_a_missing_file_and_one_that_is_no_json_are_told(tmp_path):
    with pytest.raises(StudyError, match="there is no such file of findings"):
        load(tmp_path / "findings.json")
    (tmp_path / "findings.json").write_text("{")
    with pytest.raises(StudyError, match="is not JSON"):
        load(tmp_path / "findings.json")
    (tmp_path / "findings.json").write_text("[]")
    with pytest.raises(StudyError, match="has findings schema None"):
        load(tmp_path / "findings.json")


def test_the_hash_of_the_results_goes_with_the_findings(found, tmp_path):
    results, _ = found
    path = results.save(tmp_path / "results.nc")
    first = about_study(results, path).results
    assert len(first) == 64
    path.write_bytes(path.read_bytes() + b"\0")
    assert about_study(results, path).results != first


# The view


VIEW = Findings([FULL, finding(of="lstm", measure="cca", verdict="does not hold"), finding("F2")])


def test_findings_are_picked_by_place_id_thing_measure_and_verdict():
    assert VIEW[0] is FULL
    assert len(VIEW[1:]) == 2
    assert VIEW.ids == ("F1", "F2")
    assert [f.of for f in VIEW["F1"]] == ["cnn", "lstm"]
    assert VIEW.holding() == Findings([FULL])
    assert [f.measure for f in VIEW.select(of="lstm", measure="cca")] == ["cca"]
    assert len(VIEW.select(of="lstm", measure="cka")) == 0
    with pytest.raises(StudyError, match="there is no finding 'F3' among these; there are F1, F2"):
        VIEW["F3"]


def test_a_frame_has_a_row_for_each_finding():
    frame = VIEW.to_frame()
    assert frame["verdict"].tolist() == ["holds", "does not hold", "not enough data"]
    assert frame.loc[
        0, ["effect", "low", "high", "least", "corrected", "at_untrained", "beyond_untrained"]
    ].tolist() == [*(0.8, 0.7, 0.9, 0.5, 0.004, 0.1, 0.7)]
    assert frame.loc[1:, ["effect", "p", "at_untrained"]].isna().all(axis=None)


def test_tables_for_the_terminal_and_the_notebook():
    lines = str(VIEW).splitlines()
    assert lines[0].split() == ["id", "finding", "of", "measure", "verdict", "effect", "interval", "counts", "above"]
    assert lines[1].endswith("holds            0.80    [0.70, 0.90]  0.5")
    assert len({line.index(f.measure, 20) for line, f in zip(lines[1:], VIEW, strict=True)}) == 1
    html = VIEW._repr_html_()
    assert html.count("<tr") == 4
    assert 'title="above &lt;0.5&gt;"' in html
    assert "<td>[0.70, 0.90]</td>" in html
    assert repr(VIEW) == "<Findings: 3, of which 1 hold>"
    assert str(Findings([])).splitlines() == ["id  finding  of  measure  verdict  effect  interval  counts above"]
