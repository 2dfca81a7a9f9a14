"""The table of runs: on finished, partial and busy folders, and on those that are no study's."""

import dataclasses
import json
import os
import platform
import shutil
import subprocess
import sys
import time

import pandas as pd
import pytest

from otoscope import Results, StudyError
from otoscope.asr import read_log
from otoscope.cli.runs import runs as runs_command
from otoscope.files import write_text
from otoscope.study.table import RunTable, runs
from tests.speech import tiny_study

RUNS = ["cnn/seed0", "lstm/seed0", "transformer/seed0"]


def states(folder):
    return {row.run: row.state for row in runs(folder)}


def test_a_finished_study_is_as_its_logs_and_results_have_it(finished_study):
    rows = {row.run: row for row in runs(finished_study)}
    assert list(rows) == RUNS
    results = Results.load(finished_study / "results.nc")
    for run, row in rows.items():
        log = read_log(finished_study / "recognisers" / run)
        wer = results.wer(run)
        assert (row.recogniser, row.seed, row.state, row.failure) == (run.partition("/")[0], 0, "compared", None)
        assert row.step == row.total == results.steps(run)[-1] == log[-1]["step"]
        assert row.seconds == log[-1]["seconds"]
        assert row.cpu_seconds == log[-1]["cpu_seconds"] > 0
        assert row.dev_wer == float(wer["dev_wer"][-1])
        assert row.best_dev_wer == float(wer["dev_wer"].min())
        assert row.test_wer == float(wer["test_wer"][-1])
        speeds = [r["speech_per_second"] for r in log if r["kind"] == "step"]
        assert min(speeds) <= row.speech_per_second <= max(speeds)
        assert row.seconds_left is None
    assert pd.DataFrame(runs(finished_study)).set_index("run").loc["cnn/seed0", "state"] == "compared"


def test_a_partial_folder_shows_what_waits_has_stopped_failed_and_ended(finished_study, tmp_path):
    folder = tmp_path / "study"
    shutil.copytree(finished_study, folder)
    (folder / "results.nc").unlink()
    shutil.rmtree(folder / "recognisers" / "cnn")
    log = folder / "recognisers" / "lstm" / "seed0" / "log.jsonl"
    log.write_text("".join(line + "\n" for line in log.read_text().splitlines()[:9]) + '{"kind": "st')
    assert states(folder) == dict(zip(RUNS, ("waiting", "stopped", "finished"), strict=True))
    stopped = runs(folder)[1]
    assert 0 < stopped.step < stopped.total
    assert stopped.test_wer is None, "the score is that of another end"
    failure = {
        "stage": "training",
        "when": "",
        "error": "TrainingError",
        "message": "nan",
        "step": 3,
        "checkpoint": None,
    }
    (log.parent / "failure.json").write_text(json.dumps(failure))
    assert states(folder)["lstm/seed0"] == "failed"
    assert runs(folder)[1].failure == "training: TrainingError: nan"
    # Without study.toml it shows what is there.
    (folder / "study.toml").unlink()
    assert list(states(folder)) == RUNS[1:]


def test_a_log_that_grows_is_read_on_and_one_that_is_cut_anew(finished_study, tmp_path):
    folder = tmp_path / "study"
    shutil.copytree(finished_study, folder, ignore=shutil.ignore_patterns("results.nc"))
    log = folder / "recognisers" / "cnn" / "seed0" / "log.jsonl"
    lines = log.read_text().splitlines(keepends=True)
    write_text(log, "".join(lines[:5]))
    table = RunTable(folder)
    first = table.rows()[0]
    with log.open("a") as file:
        file.writelines(lines[5:-1])
    second = table.rows()[0]
    with log.open("a") as file:
        file.write(lines[-1])
    third = table.rows()[0]
    assert first.step < second.step <= third.step == third.total
    assert (first.state, second.state, third.state) == ("stopped", "stopped", "finished")
    assert dataclasses.asdict(third) == dataclasses.asdict(RunTable(folder).rows()[0])
    write_text(log, "".join(lines[:5]))
    assert table.rows()[0] == first


def test_a_folder_in_use_shows_what_trains_and_is_not_disturbed(an4_subset, tmp_path):
    config, folder = tmp_path / "study.toml", tmp_path / "study"
    config.write_text(tiny_study(an4_subset, epochs=400).toml(), encoding="utf-8")
    command = [sys.executable, "-m", "otoscope", "train", str(config), "--out", str(folder), "--workers", "1"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 120
        row = None
        while time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.2)
            if (folder / "study.toml").exists():
                row = next((row for row in runs(folder) if row.state == "training"), None)
            if row is not None and row.seconds_left is not None:
                break
        assert row is not None
        assert row.seconds_left > 0
        assert sorted(states(folder).values()) == ["training", "waiting", "waiting"]
        assert RunTable(folder).in_use
        assert process.poll() is None
    finally:
        process.kill()
        process.wait()
    assert (folder / ".owner.json").exists(), "a killed process cannot take its name away"
    assert not RunTable(folder).in_use
    assert states(folder)[row.run] == "stopped"


def test_a_folder_that_is_no_study_is_refused(tmp_path):
    for folder in (tmp_path, tmp_path / "none"):
        with pytest.raises(StudyError, match=r"holds no study: expected a study.toml, or runs in"):
            runs(folder)


def test_the_command_prints_a_table_or_json(finished_study, capsys):
    runs_command(finished_study)
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split()[:3] == ["run", "state", "steps"]
    assert [line.split()[:2] for line in lines] == [[run, "compared"] for run in RUNS]
    runs_command(finished_study, watch=True, json_=True)  # nobody is at work: one look
    (told,) = capsys.readouterr().out.splitlines()
    assert json.loads(told)["runs"] == [dataclasses.asdict(row) for row in runs(finished_study)]


def test_watching_prints_changes_until_nobody_is_at_work(finished_study, tmp_path):
    folder = tmp_path / "study"
    shutil.copytree(finished_study, folder)
    owner = folder / ".owner.json"
    owner.write_text(json.dumps({"pid": os.getpid(), "host": platform.node(), "since": ""}))
    failure = {"stage": "scoring", "when": "", "error": "E", "message": "damaged", "step": 3, "checkpoint": None}
    watching = f"from pathlib import Path; from otoscope.cli.runs import runs; runs(Path({str(folder)!r}), watch=True)"
    with subprocess.Popen([sys.executable, "-c", watching], stdout=subprocess.PIPE, text=True) as process:
        first = [process.stdout.readline() for _ in range(1 + len(RUNS))]
        write_text(folder / "recognisers" / "cnn" / "seed0" / "failure.json", json.dumps(failure))
        owner.unlink()
        rest = process.stdout.read().splitlines()
    assert process.returncode == 0
    assert [line.split()[1] for line in first[1:]] == ["compared"] * 3
    assert [line.split()[1] for line in rest[1:4]] == ["failed", "compared", "compared"]
    assert rest[4:] == ["cnn/seed0 failed in scoring: E: damaged"]
