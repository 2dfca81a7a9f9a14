"""Studies of every architecture, decoder, token and way of decoding; trained alone, watched, and by two processes."""

import json
import os
import shutil
import subprocess
import sys

import pytest
import torch

from otoscope import (
    ReferenceRecogniser,
    Results,
    StudyConfig,
    StudyError,
    plan_study,
    run_study,
    train_recognisers,
    write_report,
)
from otoscope.asr import PieceTokens, final_checkpoint, read_log
from otoscope.watching import read_watch, through_training
from tests.test_docs import keys, read

TRAINING = {"epochs": 1, "batch_seconds": 20.0, "checkpoints": 3, "speeds": [1.0]}
SMALL = {"blocks": 2, "units": 16, "dropout": 0.0}
HEADS = {**SMALL, "heads": 2, "feed_forward": 32}
RECOGNISERS = {
    "cnn": {"architecture": "cnn", "settings": {**SMALL, "kernel": 5}},
    "transformer": {"architecture": "transformer", "settings": HEADS},
    "joint": {
        "architecture": "conformer",
        "settings": {**HEADS, "kernel": 5},
        "decoder": "transformer",
        "decoder_settings": {**HEADS, "blocks": 1},
        "pieces": 40,
        "training": {"ctc_weight": 0.3},
    },
    "listening": {
        "architecture": "lstm",
        "settings": SMALL,
        "decoder": "lstm",
        "decoder_settings": {"units": 16, "attention": 8},
        "training": {"ctc_weight": 0.5},
    },
}


def study(corpus, *names, **fields):
    """A study of these recognisers, all where none is named."""
    chosen = {name: RECOGNISERS[name] for name in names or RECOGNISERS}
    trained = {name: {**asked, "training": {**TRAINING, **asked.get("training", {})}} for name, asked in chosen.items()}
    return StudyConfig.of(corpus=str(corpus), recognisers=trained, **{"measures": ["cka"], **fields})


@pytest.fixture(scope="module")
def config(an4_subset):
    return study(an4_subset, decoding={"ngram": 3, "beam": 5}, watch=True)


@pytest.fixture(scope="module")
def finished(config, tmp_path_factory):
    """The folder of a finished study of all four, watched, with an n-gram. Not to be written to."""
    folder = tmp_path_factory.mktemp("four") / "study"
    run_study(config, folder)
    write_report(folder)
    return folder


def content(folder, run, name="test.json"):
    return json.loads((folder / "recognisers" / run / name).read_text(encoding="utf-8"))


def numbers(folder, run):
    """Everything in the log but the wall clock."""
    rows = read_log(folder / "recognisers" / run)
    return [{k: v for k, v in row.items() if "second" not in k} for row in rows]


def test_four_architectures_are_compared_and_reported(finished):
    results = Results.load(finished / "results.nc")
    assert results.runs == tuple(f"{name}/seed0" for name in RECOGNISERS)
    assert results.across("joint/seed0", "listening/seed0", "cka").notnull().all()
    page = (finished / "report.html").read_text(encoding="utf-8")
    assert all(run in page for run in results.runs)


def test_a_study_says_what_it_trained_and_how_it_decoded(finished):
    rows = {row["name"]: row for row in json.loads((finished / "manifest.json").read_text())["recognisers"]}
    assert rows["cnn"]["decoder"] is None
    assert rows["joint"]["decoder"] == {"kind": "transformer", **RECOGNISERS["joint"]["decoder_settings"]}
    assert rows["joint"]["tokens"] == 40
    assert isinstance(
        ReferenceRecogniser.load(final_checkpoint(finished / "recognisers/joint/seed0")).tokens, PieceTokens
    )
    for name, row in rows.items():
        test = content(finished, f"{name}/seed0")
        assert test["decoding"] == {"ngram": 3, "beam": 5}
        assert test["ngram"]["order"] == row["ngram"]["order"] == 3
        assert set(test["ngram"]["transcripts"]) == set(test["transcripts"])
        assert ("attention" in test) == ("attention" in row) == (name in ("joint", "listening"))
        if "attention" in test:
            weight = RECOGNISERS[name]["training"]["ctc_weight"]
            assert test["attention"]["ctc_weight"] == row["attention"]["ctc_weight"] == weight
            assert set(test["attention"]["transcripts"]) == set(test["transcripts"])
        begun = content(finished, f"{name}/seed0", "run.json")
        assert begun["pieces"] == (40 if name == "joint" else None)
        assert (begun["decoder"] is None) == (name in ("cnn", "transformer"))


def test_keys_of_its_json_files_are_described(finished):
    found = set()
    for name in ("joint", "listening"):
        for file in ("run.json", "test.json"):
            parts = content(finished, f"{name}/seed0", file)
            for data in ("model", "training", "decoder", "transcripts"):
                parts[data] = None
            for how in ("ngram", "attention"):
                parts.get(how, {}).pop("transcripts", None)
            found |= keys(parts)
    page = read("docs/results-format.md")
    assert [key for key in sorted(found) if f"`{key}`" not in page] == []


def test_other_ways_of_decoding_train_nothing_anew(config, finished, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(finished, folder)
    greedy = config.model_copy(update={"decoding": type(config.decoding)()})
    found = train_recognisers(greedy, folder)
    assert "ngram" not in found["joint/seed0"]
    assert "attention" in found["joint/seed0"]
    for run in found:
        assert numbers(folder, run) == numbers(finished, run)
        assert content(folder, run)["test_wer"] == content(finished, run)["test_wer"]


def test_a_run_of_before_there_were_decoders_is_gone_on_with(config, finished, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(finished, folder)
    path = folder / "recognisers/transformer/seed0/run.json"
    old = json.loads(path.read_text())
    del old["decoder"], old["pieces"]
    for part, names in {"model": ("positions", "front_end"), "training": ("ctc_weight", "ema", "precision")}.items():
        for name in names:
            del old[part][name]
    path.write_text(json.dumps(old))
    assert "transformer/seed0" in train_recognisers(config, folder)
    old["model"]["blocks"] = 3
    path.write_text(json.dumps(old))
    with pytest.raises(StudyError, match="was begun with other settings, by another version"):
        train_recognisers(config, folder)


def test_runs_are_trained_as_asked_and_the_study_goes_on(an4_subset, tmp_path):
    config = study(an4_subset, "cnn", seeds=[0, 1])
    folder = tmp_path / "some"
    with pytest.raises(StudyError, match="no run lstm; its runs are cnn/seed0, cnn/seed1"):
        train_recognisers(config, folder, runs=["lstm"])
    assert not folder.exists()
    assert list(train_recognisers(config, folder, runs=["cnn/seed1"])) == ["cnn/seed1"]
    assert not (folder / "recognisers/cnn/seed0").exists()
    rows = json.loads((folder / "manifest.json").read_text())["recognisers"]
    assert [(row["name"], row["seed"]) for row in rows] == [("cnn", 1)]
    before = (folder / "recognisers/cnn/seed1/log.jsonl").read_bytes()
    assert run_study(config, folder).runs == ("cnn/seed0", "cnn/seed1")
    assert (folder / "recognisers/cnn/seed1/log.jsonl").read_bytes() == before


def test_a_watch_logs_every_checkpoint_and_changes_nothing(config, finished, an4_subset, tmp_path):
    train_recognisers(config.model_copy(update={"watch": False}), tmp_path / "unseen")
    for name in RECOGNISERS:
        run = f"{name}/seed0"
        assert not (tmp_path / "unseen/recognisers" / run / "watch").exists()
        assert numbers(finished, run) == numbers(tmp_path / "unseen", run)
        one, other = (
            ReferenceRecogniser.load(final_checkpoint(folder / "recognisers" / run)).module.state_dict()
            for folder in (finished, tmp_path / "unseen")
        )
        assert all(torch.equal(one[key], other[key]) for key in one)
        rows = read_watch(finished / "recognisers" / run / "watch")
        assert rows[0]["utterances"] == 20
        steps = [row["step"] for row in read_log(finished / "recognisers" / run) if row["kind"] == "checkpoint"]
        assert [row["step"] for row in rows[1:]] == steps
    assert through_training(read_watch(finished / "recognisers/joint/seed0/watch")).sizes["layer"] == 3


def test_two_processes_train_as_one_does(finished, an4_subset, tmp_path):
    """Real processes, started by torchrun: the same losses, and a study that goes on from there."""
    config = study(an4_subset, "cnn", "joint")
    file = tmp_path / "study.toml"
    file.write_text(config.toml(), encoding="utf-8")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [*torchrun, "-m", "otoscope", "train", str(file), "--out", str(tmp_path / "two"), "--json"]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=env)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)["runs"]  # one object: process 0 speaks for both
    assert list(told) == ["cnn/seed0", "joint/seed0"]
    for run in told:
        losses = [
            [row["loss"] for row in read_log(folder / "recognisers" / run) if row["kind"] == "step"]
            for folder in (tmp_path / "two", finished)
        ]
        assert losses[0] == pytest.approx(losses[1], rel=1e-5)
        assert told[run]["test_wer"] == pytest.approx(content(finished, run)["test_wer"], abs=0.02)
    before = (tmp_path / "two/recognisers/cnn/seed0/log.jsonl").read_bytes()
    assert run_study(config, tmp_path / "two").runs == ("cnn/seed0", "joint/seed0")
    assert (tmp_path / "two/recognisers/cnn/seed0/log.jsonl").read_bytes() == before


def test_an_error_of_process_0_ends_all_with_one_message(tmp_path):
    file = tmp_path / "study.toml"
    file.write_text('corpus = "/nowhere"\n[recognisers.a]\narchitecture = "cnn"\n', encoding="utf-8")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [*torchrun, "-m", "otoscope", "train", str(file), "--out", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 1
    assert done.stderr.count("error: There is no folder '/nowhere'") == 1
    assert "rank1" not in done.stderr


def test_parts_of_a_corpus_are_all_that_is_used(an4_subset):
    plan = plan_study(study(an4_subset, "cnn", parts=["tr*"], watch=True))
    assert sum(plan.utterances.values()) == 48  # test and dev are drawn from train, since they are left out
    assert 0 < plan.watched_utterances == plan.probe_utterances < 16


def test_a_study_is_not_for_torchrun(an4_subset, tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(StudyError, match="give `otoscope train` to torchrun, then run `otoscope study`"):
        run_study(study(an4_subset, "cnn"), tmp_path)
    assert not list(tmp_path.iterdir())


def test_processes_train_on_one_kind_of_device(an4_subset, tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    config = study(an4_subset, "cnn", "transformer")
    other = config.recognisers["cnn"].model_copy(update={"training": {**TRAINING, "device": "cpu"}})
    mixed = config.model_copy(update={"recognisers": {**config.recognisers, "cnn": other}})
    with pytest.raises(StudyError, match="these ask for auto, cpu: name those of one kind with --run"):
        train_recognisers(mixed, tmp_path)
