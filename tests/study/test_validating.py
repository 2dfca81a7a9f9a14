"""`validate` finds what is wrong with a study's folder, and nothing wrong with a whole one."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace

import pytest

from otoscope import Results, write_report
from otoscope.study.findings import find_all
from otoscope.study.findings.writing import about_study, save
from otoscope.study.parquet import write_parquet
from otoscope.study.validation import validate

RUN = "recognisers/lstm/seed0"


def write_what_follows(folder):
    """Table and findings, from the results that are there."""
    results = Results.load(folder / "results.nc")
    write_parquet(results, folder / "results.parquet")
    about = about_study(results, folder / "results.nc")
    save(find_all(results, measures=["cka"]), folder / "findings.json", about)


@pytest.fixture(scope="module")
def whole(finished_study, tmp_path_factory):
    folder = tmp_path_factory.mktemp("validate") / "whole"
    shutil.copytree(finished_study, folder)
    asked = (folder / "study.toml").read_text()
    (folder / "study.toml").write_text(re.sub(r"^findings = .*$", 'findings = ["F1", "F2"]', asked, flags=re.M))
    write_what_follows(folder)
    write_report(folder)
    return folder


@pytest.fixture
def folder(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "study")


def faults(folder):
    """What is told, by path."""
    found = validate(folder)
    assert all(fault.mend for fault in found)
    return {fault.path: fault.what for fault in found}


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def last_checkpoint(folder):
    return max((folder / RUN / "checkpoints").glob("step-*.safetensors"))


def change_results(folder, change):
    path = folder / "results.nc"
    Results(change(Results.load(path).dataset)).save(path)


def test_a_whole_study_has_no_faults(folder):
    before = {p: p.stat().st_mtime_ns for p in folder.rglob("*")}
    assert validate(folder) == []
    assert {p: p.stat().st_mtime_ns for p in folder.rglob("*")} == before


@pytest.mark.parametrize("damage", ["half", "foreign"])
def test_damaged_results_are_told(folder, damage):
    path = folder / "results.nc"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2] if damage == "half" else b"not netCDF")
    found = faults(folder)
    assert "is not a readable netCDF-4 file" in found.pop("results.nc")
    assert set(found) == {"findings.json"}  # whose results these are not


def test_a_missing_checkpoint_is_named(folder):
    path = last_checkpoint(folder)
    path.unlink()
    assert faults(folder) == {f"{RUN}/checkpoints/{path.name}": "the checkpoint is missing"}


def test_a_checkpoint_cut_short_is_named(folder):
    path = folder / RUN / "checkpoints" / "step-000000.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    assert "cannot be read" in faults(folder)[f"{RUN}/checkpoints/{path.name}"]


def test_a_checkpoint_in_the_place_of_another_is_named(folder):
    path = folder / RUN / "checkpoints" / "step-000000.safetensors"
    shutil.copy(last_checkpoint(folder), path)
    assert re.fullmatch(r"is of step \d+, and not of step 0", faults(folder)[f"{RUN}/checkpoints/{path.name}"])


def test_other_weights_than_those_that_were_scored_are_told(folder):
    path = last_checkpoint(folder)
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)
    assert faults(folder) == {
        f"{RUN}/test.json": f"was scored with other weights than those of checkpoints/{path.name}"
    }


def test_a_study_toml_that_was_edited_is_told(folder):
    edit(folder / "study.toml", '"cka-biased"', '"mutual-knn"')
    found = validate(folder)
    assert [(f.path, "measures" in f.what) for f in found] == [
        ("study.toml", True),
        ("results.nc", True),
        ("results.nc", True),
    ]
    assert "has not the measures mutual-knn" in found[1].what
    assert "has the measures cka-biased" in found[2].what


def test_a_run_of_other_settings_than_asked_is_told(folder):
    edit(folder / "study.toml", '"kernel" = 5', '"kernel" = 7')
    assert "other settings than study.toml asks for (model: kernel)" in faults(folder)["recognisers/cnn/seed0/run.json"]


def test_a_study_toml_that_is_none_is_told_and_the_rest_looked_at(folder):
    (folder / "study.toml").write_text("title = ")
    (folder / "report.html").unlink()
    found = faults(folder)
    assert set(found) == {"study.toml", "report.html"}
    assert "is not TOML" in found["study.toml"]


def test_a_seed_that_was_not_run_is_missing_by_name(folder):
    edit(folder / "study.toml", "seeds = [0]", "seeds = [0, 1]")
    found = validate(folder)
    assert ("recognisers/cnn/seed1", "the run is missing") in [(f.path, f.what) for f in found]
    assert any("has not the runs cnn/seed1, lstm/seed1, transformer/seed1" in f.what for f in found)


def test_a_log_that_was_cut_is_told(folder):
    path = folder / RUN / "log.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    ends = [i for i, line in enumerate(lines) if '"checkpoint"' in line]

    path.write_text("".join(lines[:-1]) + lines[-1][:40])
    found = [f.what for f in validate(folder) if f.path == f"{RUN}/log.jsonl"]
    assert found[0] == "its last line is cut short"
    assert re.match(r"ends at step \d+ of \d+", found[1])
    assert f"does not know of {last_checkpoint(folder).name}" in found[2]

    gone = next(i for i in range(ends[0] + 1, len(lines)) if i not in ends)
    path.write_text("".join(lines[:gone] + lines[gone + 1 :]))
    assert "updates are missing or out of order before step" in faults(folder)[f"{RUN}/log.jsonl"]

    path.write_text("".join([*lines[:gone], "{broken\n", *lines[gone:]]))
    assert faults(folder) == {f"{RUN}/log.jsonl": f"line {gone + 1}: no row of a training"}

    path.unlink()
    assert faults(folder)[f"{RUN}/log.jsonl"] == "is missing"


def test_foreign_folders_are_told(tmp_path):
    (tmp_path / "notes.txt").write_text("nothing of a study")
    assert "holds no study" in faults(tmp_path)["."]
    assert "is no folder" in faults(tmp_path / "nowhere")["."]


def test_comparisons_that_are_missing_are_named(folder):
    def without_one(data):
        gone = (data["kind"] == "to_final") & (data["run_x"] == "lstm/seed0") & (data["step_x"] == 0)
        return data.isel(pair=~gone.values)

    change_results(folder, without_one)
    write_what_follows(folder)
    last = Results.load(folder / "results.nc").steps("lstm/seed0")[-1]
    assert faults(folder) == {
        "results.nc": f"lacks comparisons of layers: to_final of lstm/seed0 at step 0 with lstm/seed0 at step {last}"
    }


def test_values_that_are_missing_without_a_reason_are_told(folder):
    def emptied(data):
        return data.assign(similarity=data["similarity"].where(data["layer_x"] != data["layer_x"][0]))

    change_results(folder, emptied)
    write_what_follows(folder)
    assert "values of cka were not computed, and it is said why of 0" in next(f.what for f in validate(folder))


def test_a_run_that_failed_is_told_once_with_its_reason(folder):
    """A partial study: the run is in no table, and what is left of its folder is not looked at."""
    why = [{"run": "lstm/seed0", "stage": "training", "reason": "TrainingError: the loss is nan", "part": ""}]

    def without_lstm(data):
        pairs = (data["run_x"] != "lstm/seed0") & (data["run_y"] != "lstm/seed0")
        kept = {"pair": pairs, "checkpoint": data["run_c"] != "lstm/seed0", "layer": data["run_l"] != "lstm/seed0"}
        return data.isel({dim: mask.values for dim, mask in kept.items()}).assign_attrs(missing=json.dumps(why))

    change_results(folder, without_lstm)
    write_what_follows(folder)
    (folder / RUN / "log.jsonl").unlink()
    assert faults(folder) == {"results.nc": "lstm/seed0: training failed: TrainingError: the loss is nan"}


def test_results_on_other_speech_are_told(folder):
    change_results(folder, lambda data: data.assign_attrs(corpus_hash="0" * 64))
    write_what_follows(folder)
    assert list(faults(folder)) == ["results.nc"]
    assert "was measured on other speech (hash 000000000000)" in faults(folder)["results.nc"]


def test_manifests_are_looked_at(folder):
    path = folder / "manifest.json"
    content = json.loads(path.read_text())
    for changed, told in (
        ({**content, "schema_version": 99}, "has schema version 99"),
        ({k: v for k, v in content.items() if k != "finished"}, "has not come to its end"),
        ({k: v for k, v in content.items() if k != "corpus"}, "lacks corpus"),
    ):
        path.write_text(json.dumps(changed))
        assert told in faults(folder)["manifest.json"]
    path.write_text("{")
    assert "cannot be read" in faults(folder)["manifest.json"]
    path.unlink()
    assert faults(folder) == {"manifest.json": "is missing"}


def test_findings_are_checked_by_their_schema_and_against_the_results(folder):
    path = folder / "findings.json"
    content = json.loads(path.read_text())
    content["findings"][0]["verdict"] = "maybe"
    path.write_text(json.dumps(content))
    assert "findings.0.verdict: 'maybe' is not one of" in faults(folder)["findings.json"]

    results = Results.load(folder / "results.nc")
    save([], path, replace(about_study(results, folder / "results.nc"), results="0" * 64))
    told = [f.what for f in validate(folder)]
    assert told == [
        "was found in other results than those of results.nc",
        "has nothing on F1, F2, which study.toml asks for",
    ]
    path.unlink()
    assert "there is no such file of findings" in faults(folder)["findings.json"]


def test_a_table_of_other_results_is_told(folder):
    results = Results.load(folder / "results.nc")
    write_parquet(Results(results.dataset.isel(pair=slice(10))), folder / "results.parquet")
    assert faults(folder) == {"results.parquet": "is of other results than results.nc"}
    (folder / "results.parquet").write_bytes(b"PAR1")
    assert "cannot be read as Parquet" in faults(folder)["results.parquet"]
