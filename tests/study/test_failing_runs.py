"""Studies in which something fails for real: what is left is compared, what is missing is named and tried again."""

import json
import multiprocessing
import os
import shutil
import signal

import numpy as np
import pytest

from otoscope import Results, StudyConfig, StudyError, run_study, train_recognisers, write_report
from otoscope.asr import is_finished, read_log
from otoscope.cli import main
from tests.speech import tiny_study

EXPLODING = {"peak_learning_rate": 1e30}


def study(corpus, names, *, exploding=(), epochs=1, **fields):
    """One measure, two checkpoints of each run; the loss of those that explode is not finite after a few updates."""
    asked = tiny_study(corpus, epochs=epochs).model_dump()
    recognisers = {name: asked["recognisers"][name] for name in names}
    for name, recogniser in recognisers.items():
        recogniser["training"] |= {"checkpoints": 2, **(EXPLODING if name in exploding else {})}
    return StudyConfig.of(**{**asked, "recognisers": recognisers, "measures": ("cka",), **fields})


def written(folder):
    return {p: p.stat().st_mtime_ns for p in folder.rglob("*") if p.suffix in (".safetensors", ".jsonl", ".json")}


def command(tmp_path, config, *more):
    (tmp_path / "study.toml").write_text(config.toml(), encoding="utf-8")
    with pytest.raises(SystemExit) as ended:
        main(["study", "--config", str(tmp_path / "study.toml"), "--out", str(tmp_path / "study"), *more])
    return ended.value.code


def test_the_others_are_compared_and_the_run_that_failed_is_tried_again(an4_subset, tmp_path, capsys, caplog):
    folder = tmp_path / "study"
    assert command(tmp_path, study(an4_subset, ["cnn", "lstm"], exploding=["cnn"])) == 3
    results = Results.load(folder / "results.nc")
    (missing,) = results.missing
    assert (missing.run, missing.stage, missing.part) == ("cnn/seed0", "training", "")
    assert missing.reason.startswith("TrainingError: the loss at step")
    assert results.runs == ("lstm/seed0",)
    assert results.within("lstm/seed0", results.steps("lstm/seed0")[-1], "cka").notnull().all()

    printed = capsys.readouterr().out
    assert "missing: cnn/seed0: training failed: TrainingError: the loss at step" in printed
    assert printed.splitlines()[-1] == str(folder / "report.html")
    assert [r.levelname for r in caplog.records if "training cnn/seed0 failed, the others go on" in r.message]
    failed = folder / "recognisers" / "cnn" / "seed0"
    failure = json.loads((failed / "failure.json").read_text())
    assert failure["error"] == "TrainingError"
    assert failure["message"] in missing.reason
    assert (failed / failure["checkpoint"]).is_file()
    assert failure["step"] == read_log(failed)[-1]["step"]
    assert [row["name"] for row in json.loads((folder / "manifest.json").read_text())["recognisers"]] == ["lstm"]

    # The same again: the run that failed is tried, and fails; what is finished is not touched.
    good = folder / "recognisers" / "lstm"
    before, tried = written(good), written(failed)
    assert run_study(study(an4_subset, ["cnn", "lstm"], exploding=["cnn"]), folder, workers=1).missing == (missing,)
    assert written(good) == before
    assert written(failed)[failed / "failure.json"] > tried[failed / "failure.json"]

    # Mended: begun anew with the other settings, and nothing is missing.
    results = run_study(study(an4_subset, ["cnn", "lstm"]), folder, workers=1)
    assert results.runs == ("cnn/seed0", "lstm/seed0")
    assert results.missing == ()
    assert results.across("cnn/seed0", "lstm/seed0", "cka").notnull().all()
    assert not (failed / "failure.json").exists()
    assert written(good) == before
    with pytest.raises(StudyError, match="holds another study: recognisers differ"):
        run_study(study(an4_subset, ["cnn", "lstm"], exploding=["cnn"]), folder)


def test_a_study_of_which_nothing_is_left_says_why(an4_subset, tmp_path):
    asked = study(an4_subset, ["cnn"], exploding=["cnn"])
    with pytest.raises(StudyError, match=r"nothing is left .*\n  cnn/seed0, training: TrainingError: the loss at step"):
        train_recognisers(asked, tmp_path / "study")
    assert not (tmp_path / "study" / "results.nc").exists()


def test_a_worker_killed_in_training_costs_nothing_but_time(an4_subset, finished_study, tmp_path):
    killed = []

    def progress(what, done, _total):
        if what.startswith("training") and done > 0 and not killed:
            (worker,) = multiprocessing.active_children()
            os.kill(worker.pid, signal.SIGKILL)
            killed.append(worker.pid)

    asked = tiny_study(an4_subset).model_dump()
    config = StudyConfig.of(**{**asked, "recognisers": {"lstm": asked["recognisers"]["lstm"]}, "measures": ("cka",)})
    results = run_study(config, tmp_path / "study", workers=1, progress=progress)
    assert killed
    assert results.missing == ()
    ours, theirs = (
        read_log(folder / "recognisers" / "lstm" / "seed0") for folder in (tmp_path / "study", finished_study)
    )
    assert [r.get("loss", r.get("dev_loss")) for r in ours] == [r.get("loss", r.get("dev_loss")) for r in theirs]
    expected = Results.load(finished_study / "results.nc")
    for step in results.steps("lstm/seed0"):
        np.testing.assert_array_equal(
            results.within("lstm/seed0", step, "cka"), expected.within("lstm/seed0", step, "cka")
        )


def test_a_damaged_checkpoint_costs_its_own_comparisons_and_the_last_one_its_run(finished_study, an4_subset, tmp_path):
    folder = tmp_path / "study"
    shutil.copytree(finished_study, folder)
    whole = Results.load(folder / "results.nc")
    steps = whole.steps("lstm/seed0")
    for run, step in (("lstm/seed0", steps[1]), ("transformer/seed0", whole.steps("transformer/seed0")[-1])):
        path = folder / "recognisers" / run / "checkpoints" / f"step-{step:06d}.safetensors"
        path.write_bytes(path.read_bytes()[:1000])
    asked = tiny_study(an4_subset).model_dump()
    results = run_study(StudyConfig.of(**{**asked, "measures": ("cka",)}), folder)

    assert results.runs == ("cnn/seed0", "lstm/seed0")
    gone = {m.run: m for m in results.missing if not m.part}
    assert set(gone) == {"transformer/seed0"}
    assert gone["transformer/seed0"].stage == "scoring", "its final model is that checkpoint"
    assert (folder / "recognisers" / "transformer" / "seed0" / "failure.json").exists()
    parts = {m.part for m in results.missing if m.part}
    assert parts == {f"within, to_final, to_previous at step {steps[1]}", f"to_previous at step {steps[2]}"}
    assert all("cannot be read as a safetensors checkpoint" in m.reason for m in results.missing)

    assert results.within("lstm/seed0", steps[1], "cka").isnull().all()
    assert results.curve("to_final", "lstm/seed0", "cka").isnull().any("layer").values.tolist() == [0, 1, 0, 0]
    assert results.curve("to_previous", "lstm/seed0", "cka").isnull().any("layer").values.tolist() == [1, 1, 1, 0]
    for step in (steps[0], steps[2], steps[3]):
        np.testing.assert_array_equal(
            results.within("lstm/seed0", step, "cka"), whole.within("lstm/seed0", step, "cka")
        )
    np.testing.assert_array_equal(
        results.across("cnn/seed0", "lstm/seed0", "cka"), whole.across("cnn/seed0", "lstm/seed0", "cka")
    )
    assert write_report(folder).exists()


def test_a_comparison_that_fails_in_its_worker_is_named_and_the_others_are_kept(finished_study, an4_subset, tmp_path):
    """Bytes in the middle of a file: it opens, and has no readable weights."""
    folder = tmp_path / "study"
    shutil.copytree(finished_study, folder)
    path = folder / "recognisers" / "cnn" / "seed0" / "checkpoints" / "step-000000.safetensors"
    content = path.read_bytes()
    path.write_bytes(content.replace(b"otoscope-recogniser-1", b"otoscope-recogniser-x"))
    assert path.read_bytes() != content
    asked = tiny_study(an4_subset).model_dump()
    results = run_study(StudyConfig.of(**{**asked, "measures": ("cka",)}), folder)
    assert results.runs == ("cnn/seed0", "lstm/seed0", "transformer/seed0")
    assert {m.run for m in results.missing} == {"cnn/seed0"}
    assert any(m.part == "shuffled at step 0" for m in results.missing)
    assert any(m.part == "across at step 0 with lstm/seed0 at step 0" for m in results.missing)
    assert results.within("cnn/seed0", 0, "cka").isnull().all()
    assert results.across("cnn/seed0", "lstm/seed0", "cka", "first").isnull().all()
    assert results.across("cnn/seed0", "lstm/seed0", "cka").notnull().all()
    assert write_report(folder).exists()


def test_results_hold_errors_of_utterances_as_the_scores_have_them(finished_study):
    results = Results.load(finished_study / "results.nc")
    for run in results.runs:
        test = json.loads((finished_study / "recognisers" / run / "test.json").read_text())
        found = results.utterances(run)
        mine = found.isel(utterance=(found["split"] == "test").values)
        assert set(mine["utterance"].values) == set(test["transcripts"])
        assert float(mine["errors"].sum() / mine["words"].sum()) == pytest.approx(test["test_wer"])
        dev = found.isel(utterance=(found["split"] == "dev").values)
        last = read_log(finished_study / "recognisers" / run)[-1]
        assert float(dev["errors"].sum() / dev["words"].sum()) == pytest.approx(last["final_dev_wer"])
        assert (found["block"] == -1).all(), "the study has no intervals"
        rates = results.training(run)["learning_rate"].values
        steps = [row for row in read_log(finished_study / "recognisers" / run) if row["kind"] == "step"]
        at = {row["step"]: row["learning_rate"] for row in steps}
        assert rates[1:].tolist() == [at[step] for step in results.steps(run)[1:]]
        assert np.isnan(rates[0])
        assert is_finished(finished_study / "recognisers" / run)
    assert results.missing == ()
