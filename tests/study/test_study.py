"""A study of three tiny recognisers on real speech: complete, right, resumed after SIGKILL, refused where it must."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
import xarray as xr

from otoscope import (
    MeasureError,
    ReferenceRecogniser,
    Results,
    StudyConfig,
    StudyError,
    cka,
    load,
    measure,
    plan_study,
    run_study,
    train_recognisers,
    write_report,
)
from otoscope.asr import FeatureStore, log_mel, read_log
from otoscope.capture import capture
from otoscope.corpora import read_audio
from otoscope.measures import registry
from otoscope.study import plan_measure
from tests.speech import tiny_study

RUNS = ("cnn/seed0", "lstm/seed0", "transformer/seed0")


@pytest.fixture(scope="module")
def results(finished_study):
    return Results.load(finished_study / "results.nc")


def test_everything_that_was_asked_is_there(finished_study, results):
    assert results.runs == RUNS
    assert results.measures == ("cka", "cka-debiased", "cka-biased", "cca", "svcca", "pwcca")
    for run in RUNS:
        steps = results.steps(run)
        assert steps[0] == 0
        assert len(steps) == 4
        for name in results.measures:
            for step in steps:
                matrix = results.within(run, step, name)
                assert matrix.shape == (3, 3)
                np.testing.assert_allclose(np.diag(matrix), 1, atol=1e-6)
            assert float(results.curve("to_final", run, name).isel(step=-1).min()) == pytest.approx(1, abs=1e-6)
            assert results.shuffled(run, 0, name).notnull().all()
        assert results.wer(run)["test_wer"].isel(step=-1).notnull()
        assert results.wer(run)["dev_wer"].notnull().all()
    assert results.across("cnn/seed0", "lstm/seed0", "pwcca").notnull().all()
    assert results.across("cnn/seed0", "lstm/seed0", "cka", "first").notnull().all()
    assert not list(finished_study.rglob("*.tmp"))


def test_the_shuffled_baseline_is_near_zero_for_the_unbiased_and_not_for_the_biased(results):
    for run in RUNS:
        shuffled = results.shuffled(run, results.steps(run)[-1], "cka")
        within = results.within(run, results.steps(run)[-1], "cka")
        assert abs(shuffled.values).mean() < 0.25 * within.values.mean()


def test_a_similarity_is_what_capturing_by_hand_gives(finished_study, results, an4_subset):
    """The whole path against a direct one: utterances one by one, no batches, no moments kept."""
    manifest = json.loads((finished_study / "manifest.json").read_text())
    corpus = load(an4_subset)
    ids = set(json.loads((finished_study / "recognisers/cnn/seed0/test.json").read_text())["transcripts"])
    assert manifest["corpus"]["probe"]["utterances"] >= len(ids)
    store = FeatureStore(next((finished_study / "features").glob("features-*")))
    run = "cnn/seed0"
    checkpoint = finished_study / f"recognisers/{run}/checkpoints/step-{results.steps(run)[-1]:06d}.safetensors"
    recogniser = ReferenceRecogniser.load(checkpoint)
    dev = sorted(manifest["corpus"]["probe"]["ids"])
    views = {"blocks.0": [], "blocks.1": []}
    for utterance in dev:
        features = store.get(utterance)
        audio = next(u for u in corpus if u.id == utterance)
        torch.testing.assert_close(features, log_mel(read_audio(audio)))
        with torch.inference_mode(), capture(recogniser.module, list(views)) as captured:
            recogniser.forward(features[None], torch.tensor([len(features)]))
            for name, output in captured.take().items():
                views[name].append(output[0].T)
    x, y = (torch.cat(views[name]) for name in views)
    lengths = [len(v) for v in views["blocks.0"]]
    direct = cka(x, y, utterances=lengths).value
    stored = float(results.within(run, results.steps(run)[-1], "cka").sel(layer_x="blocks.0", layer_y="blocks.1"))
    assert stored == pytest.approx(direct, abs=1e-4)


def test_the_manifest_says_what_ran(finished_study):
    manifest = json.loads((finished_study / "manifest.json").read_text())
    assert manifest["versions"]["torch"] == torch.__version__
    assert manifest["command"] == ["pytest"]
    assert {"corpus", "features", "training", "comparing", "findings"} == set(manifest["stages"])
    assert manifest["duration"] == pytest.approx(sum(manifest["stages"].values()), abs=0.1)
    splits = manifest["corpus"]["splits"]
    assert sum(split["utterances"] for split in splits.values()) == manifest["corpus"]["utterances"] == 64
    assert [row["parameters"] > 1000 for row in manifest["recognisers"]] == [True] * 3


def test_running_a_finished_study_again_changes_nothing(finished_study, an4_subset, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(finished_study, folder)
    before = {p: p.stat().st_mtime_ns for p in folder.rglob("*.safetensors")}
    again = run_study(tiny_study(an4_subset), folder)
    assert {p: p.stat().st_mtime_ns for p in folder.rglob("*.safetensors")} == before
    xr.testing.assert_equal(again.dataset, Results.load(finished_study / "results.nc").dataset)


def test_another_measure_is_added_without_training_again(finished_study, an4_subset, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(finished_study, folder)
    before = {p: p.stat().st_mtime_ns for p in folder.rglob("*.safetensors")}
    fields = tiny_study(an4_subset).model_dump()
    found = run_study(StudyConfig.of(**{**fields, "measures": ("cca",)}), folder)
    assert found.measures == ("cca",)
    assert {p: p.stat().st_mtime_ns for p in folder.rglob("*.safetensors")} == before


def probe_of(study, corpus):
    """The speech that a study compared on, in its order."""
    by_id = {u.id: u for u in corpus}
    return corpus.keep([by_id[i] for i in json.loads((study / "manifest.json").read_text())["corpus"]["probe"]["ids"]])


def last_checkpoint(study, run):
    return max((study / "recognisers" / run / "checkpoints").glob("*.safetensors"))


def test_intervals_and_measures_on_frames_are_added_without_training_again(finished_study, an4_subset, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(finished_study, folder)
    fields = tiny_study(an4_subset).model_dump()
    names = ("cka", "procrustes", "regression", "cka-partial", "mutual-knn")
    found = run_study(StudyConfig.of(**{**fields, "measures": names, "intervals": True, "samples": 700}), folder)
    assert found.measures == names
    assert found.intervals == "95 %, jackknife over blocks of speakers"
    about = found.dataset.attrs
    assert 500 < about["sample_frames"] <= 700 < about["frames"]
    run = "lstm/seed0"
    final = found.steps(run)[-1]
    again = measure(
        last_checkpoint(finished_study, run),
        corpus=probe_of(finished_study, load(an4_subset)),
        measures=names,
        samples=700,
        intervals=True,
    )
    for name in names:
        matrix = found.within(run, final, name)
        different = ~np.eye(len(matrix), dtype=bool)
        assert (matrix["low"].values < matrix["high"].values)[different].all()
        for part, expected in ((matrix, again[name]), (matrix["low"], again[f"{name}_low"])):
            np.testing.assert_allclose(part.values, expected.values, atol=2e-3, err_msg=name)
        assert found.curve("to_final", run, name)["low"].notnull().all()
        assert found.shuffled(run, 0, name).notnull().all()
        assert found.shuffled(run, 0, name)["low"].isnull().all()
    assert again.attrs["clusters"] == "speakers"
    blocks = found.utterances(run)["block"]
    assert set(blocks.values.tolist()) == set(range(found.blocks))
    speaker = {u.id: u.speaker for u in load(an4_subset)}
    of = {speaker[u]: int(blocks.sel(utterance=u)) for u in blocks["utterance"].values.tolist()}
    assert all(of[speaker[u]] == int(blocks.sel(utterance=u)) for u in blocks["utterance"].values.tolist())
    assert float(found.within(run, final, "procrustes").values.diagonal().max()) < 1e-3
    assert write_report(folder).exists()


def test_every_registered_measure_works_on_a_checkpoint(finished_study, an4_subset):
    speech = probe_of(finished_study, load(an4_subset))
    names = registry.names()
    found = measure(last_checkpoint(finished_study, "cnn/seed0"), corpus=speech, measures=names, samples=900)
    assert tuple(found.data_vars) == names
    for name in names:
        assert found[name].notnull().all(), found[name].attrs["undefined"]
        frames = found[name].attrs["frames"]
        assert (frames <= 900) if registry.get(name).source == "samples" else (frames == found.attrs["frames"] > 900)


def test_the_planned_way_is_taken_and_changes_no_value(finished_study, an4_subset):
    path = last_checkpoint(finished_study, "cnn/seed0")
    speech = probe_of(finished_study, load(an4_subset))
    shortest = sorted(speech, key=lambda u: u.duration)[:2]
    few = {"corpus": speech.keep(shortest), "layers": ["blocks.*"]}
    by_gram, by_covariance = (plan_measure(path, measures=names, **few) for names in (["cka"], ["cka", "cca"]))
    assert (by_gram.path, by_covariance.path) == ("gram", "covariance")
    assert by_gram.sampled_utterances == 2
    assert by_covariance.moments_bytes == 16 * 3 * 24 * 24
    one, other = (measure(path, measures=names, **few) for names in (["cka"], ["cka", "cca"]))
    np.testing.assert_allclose(one["cka"], other["cka"], atol=5e-6)
    assert one.attrs["frames"] == by_gram.frames
    with_intervals = plan_measure(path, measures=["cka"], intervals=True, corpus=speech, layers=["blocks.*"])
    assert (with_intervals.path, with_intervals.blocks) == ("covariance", 20)
    assert with_intervals.moments_bytes == 20 * by_covariance.moments_bytes
    assert with_intervals.clusters == "speakers"


def numbers(folder):
    logs = [
        [{k: v for k, v in row.items() if "second" not in k} for row in read_log(folder / "recognisers" / r)]
        for r in RUNS
    ]
    tests = [(folder / "recognisers" / r / "test.json").read_text() for r in RUNS]
    return logs, tests


@pytest.mark.parametrize("seed", [0, *(pytest.param(s, marks=pytest.mark.long) for s in (1, 2, 3, 4))])
def test_a_study_killed_again_and_again_ends_with_the_same_numbers(finished_study, an4_subset, tmp_path, seed):
    folder = tmp_path / "killed"
    config = tmp_path / "study.toml"
    config.write_text(tiny_study(an4_subset).toml(), encoding="utf-8")
    command = [sys.executable, "-m", "otoscope", "study", "--config", str(config), "--out", str(folder)]
    draw = random.Random(seed)
    kills = 0
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    for attempt in range(40):
        process = subprocess.Popen(command, start_new_session=True, **quiet)
        try:
            # Later attempts get longer, so that the study ends however slow the machine.
            process.wait(timeout=draw.uniform(3, 9) + 4 * attempt)
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)  # the parent alone: its workers must notice and stop by themselves
            process.wait()
            kills += 1
        else:
            break
    assert process.returncode == 0
    assert kills >= 2
    assert numbers(folder) == numbers(finished_study)
    ours, theirs = (Results.load(f / "results.nc").dataset for f in (folder, finished_study))
    xr.testing.assert_equal(ours.drop_vars(["seconds"]), theirs.drop_vars(["seconds"]))
    assert (folder / "report.html").stat().st_size > 10_000


def test_a_folder_in_use_is_refused_with_its_owner(an4_subset, tmp_path):
    config = tmp_path / "study.toml"
    config.write_text(tiny_study(an4_subset, epochs=50).toml(), encoding="utf-8")
    folder = tmp_path / "busy"
    command = [sys.executable, "-m", "otoscope", "study", "--config", str(config), "--out", str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        deadline = time.monotonic() + 60
        while not (folder / ".owner.json").exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        with pytest.raises(StudyError, match=f"in use by process {process.pid} on"):
            run_study(tiny_study(an4_subset), folder)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_a_folder_with_another_study_is_refused(finished_study, an4_subset, tmp_path):
    folder = tmp_path / "copy"
    folder.mkdir()
    shutil.copy(finished_study / "study.toml", folder)
    with pytest.raises(StudyError, match="holds another study: recognisers differ"):
        run_study(tiny_study(an4_subset, epochs=3), folder)


def test_a_corpus_that_changed_under_a_study_is_refused(finished_study, an4_subset, tmp_path):
    folder, corpus = tmp_path / "copy", tmp_path / "corpus"
    shutil.copytree(an4_subset, corpus, symlinks=True)
    folder.mkdir()
    shutil.copy(finished_study / "manifest.json", folder)
    table = corpus / "transcripts.tsv"
    rows = table.read_text().splitlines(keepends=True)
    table.write_text("".join(rows[:-1]))
    with pytest.raises(StudyError, match="is not what this study began with"):
        run_study(tiny_study(corpus), folder)


def test_training_alone_scores_and_can_become_a_study(an4_subset, tmp_path):
    fields = tiny_study(an4_subset, epochs=1).model_dump()
    config = StudyConfig.of(**{**fields, "recognisers": {"cnn": fields["recognisers"]["cnn"]}})
    scores = train_recognisers(config, tmp_path / "study")
    assert set(scores) == {"cnn/seed0"}
    assert 0 < scores["cnn/seed0"]["test_wer"] <= 2
    assert run_study(config, tmp_path / "study").runs == ("cnn/seed0",)


def test_the_plan_counts_what_the_study_then_does(finished_study, results, an4_subset):
    plan = plan_study(tiny_study(an4_subset))
    assert plan.comparisons == results.dataset.sizes["pair"]
    for run, planned in zip(RUNS, plan.runs, strict=True):
        assert planned.checkpoints == len(results.steps(run))
        assert planned.layers == len(results.layers(run))
    assert plan.probe_frames == pytest.approx(results.dataset.attrs["frames"], rel=0.05)
    assert plan.seconds > 0
    assert not plan.warnings


def test_measuring_a_checkpoint_agrees_with_the_study(finished_study, results, an4_subset):
    run = "lstm/seed0"
    path = finished_study / f"recognisers/{run}/checkpoints/step-{results.steps(run)[-1]:06d}.safetensors"
    corpus = load(an4_subset)
    probe = set(json.loads((finished_study / "manifest.json").read_text())["corpus"]["probe"]["ids"])
    speech = corpus.keep([u for u in corpus if u.id in probe])
    found = measure(path, corpus=speech, measures=["cka", "cca"])
    for name in ("cka", "cca"):
        expected = results.within(run, results.steps(run)[-1], name)
        np.testing.assert_allclose(found[name].values, expected.values, atol=1e-4)
    for options, said in (
        ({"corpus": corpus.split("none")}, "no utterance"),
        ({"corpus": speech, "utterances": 0}, "at least 1 utterance"),
        ({"corpus": speech, "measures": ["cka", "cka"]}, "one or more different measures"),
        ({"corpus": speech, "measures": ["rsa"], "samples": 10}, "fewer than two whole utterances"),
        ({"corpus": speech, "utterances": 2, "intervals": True}, "there are 2 utterances of"),
    ):
        with pytest.raises(StudyError, match=said):
            measure(path, **options)
    with pytest.raises(MeasureError, match="compares frames of different utterances"):
        measure(path, corpus=speech, utterances=1, measures=["cka"])
