"""`otoscope validate`: what it prints, as text and as JSON, and its exit codes."""

from __future__ import annotations

import json
import shutil

import pytest

from otoscope.cli import main


def run(capsys, *arguments):
    with pytest.raises(SystemExit) as exit_:
        main(["validate", *map(str, arguments)])
    return exit_.value.code, capsys.readouterr().out


def test_faults_are_told_with_what_to_do_and_the_exit_code_is_1(finished_study, tmp_path, capsys):
    folder = shutil.copytree(finished_study, tmp_path / "study")
    missing = max((folder / "recognisers/cnn/seed0/checkpoints").glob("*.safetensors"))
    missing.unlink()
    code, out = run(capsys, folder)
    assert code == 1
    told = f"recognisers/cnn/seed0/checkpoints/{missing.name}: the checkpoint is missing. To mend it: copy it back; or"
    assert any(line.startswith(told) for line in out.splitlines())

    code, out = run(capsys, folder, "--json")
    about = json.loads(out)
    assert (code, about["valid"], about["folder"]) == (1, False, str(folder))
    assert {"path", "what", "mend"} == set(about["faults"][0])
    assert f"recognisers/cnn/seed0/checkpoints/{missing.name}" in [fault["path"] for fault in about["faults"]]


def test_no_folder_is_a_fault_too(tmp_path, capsys):
    code, out = run(capsys, tmp_path / "nowhere", "--json")
    assert code == 1
    assert json.loads(out)["faults"][0]["what"].endswith("is no folder")
