"""Content on real speech: AN4's alignments and small recognisers with random weights."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr

from otoscope import Layer, ReferenceRecogniser, StudyError, load
from otoscope.asr import CharacterTokens, FeatureStore
from otoscope.asr.models import CnnConfig, LstmConfig
from otoscope.corpora import read_audio
from otoscope.study.content import content, content_of_run, plan_content, read_content_unit, run_content_unit
from otoscope.study.measuring import Checkpoint

LABELS = ("log-mel", "phones", "words", "speaker", "position", "duration", "word-duration")


def recogniser(seed=0, blocks=1, config=None):
    torch.manual_seed(seed)
    made = ReferenceRecogniser(config or CnnConfig(blocks=blocks, units=24), CharacterTokens.of(["ABC"]))
    made.module.eval()
    return made


@pytest.fixture(scope="module")
def speech(corpora_root):
    """Utterances of all ten test speakers of AN4."""
    test = load(corpora_root / "an4").split("test")
    return test.keep(test.utterances[::2])


@pytest.fixture(scope="module")
def found(speech):
    return content(
        recogniser(),
        corpus=speech,
        labels=LABELS,
        methods=("probe", "cca-held-out", "cka"),
        untrained=recogniser(1),
        frames=2_500,
    )


def test_every_layer_is_read_for_every_label_by_every_method(found):
    assert found["value"].dims == ("layer", "label", "method")
    assert found["layer"].values.tolist() == ["input", "subsample", "blocks.0"]
    assert tuple(found["label"].values) == LABELS
    assert np.isfinite(found["value"]).all()
    assert np.isfinite(found["shuffled"]).all()
    assert np.isfinite(found["untrained"]).all()
    ends = found.where(np.isfinite(found["low"]), drop=False)
    assert (ends["low"] <= ends["high"]).where(np.isfinite(ends["low"]), True).all()


def test_the_input_says_all_of_itself_and_phones_beyond_chance(found):
    own = found.sel(layer="input", label="log-mel")
    assert own["value"].min() > 0.99
    for method in ("probe", "cca-held-out", "cka"):
        phones = found.sel({"layer": "input", "label": "phones", "method": method})
        assert phones["low"] > max(phones["chance"], phones["shuffled"])


def test_shuffled_labels_say_next_to_nothing(found):
    phones = found.sel(label="phones")
    assert (phones["shuffled"].sel({"method": "probe"}) < phones["chance"].sel({"method": "probe"}) + 0.05).all()
    assert abs(phones["shuffled"].sel({"method": ["cca-held-out", "cka"]})).max() < 0.05


def test_the_input_is_the_same_before_training(found):
    xr.testing.assert_equal(
        found["value"].sel(layer="input").drop_vars("layer"), found["untrained"].sel(layer="input").drop_vars("layer")
    )
    assert abs(found["value"] - found["untrained"]).sel(layer="blocks.0").max() > 0.005


def test_what_it_was_read_on_is_told(found, speech, tmp_path):
    about = found.attrs
    assert about["utterances"] == len(speech)
    assert about["speakers"] == 10
    assert found["grouped"].sel(label="phones").item() == "speaker"
    assert found["groups"].sel(label="phones").item() == 10
    assert found["grouped"].sel(label="speaker").item() == "utterance"
    assert found["unit"].values.tolist() == ["frame", "frame", "word", "utterance", "frame", "frame", "word"]
    left_out = json.loads(about["rows_left_out"])["phones"]
    rows = found["rows"].sel(label="phones").item()
    assert rows + sum(left_out.values()) == found["rows"].sel(label="log-mel").item() <= 2_500 + len(speech)
    classes = json.loads(about["class_names"])
    assert sum(classes["phones"].values()) == rows
    assert "SIL" not in classes["phones"]
    said = [w.label for u in speech for w in u.words]
    assert all(count <= said.count(word) for word, count in classes["words"].items())
    found.to_netcdf(tmp_path / "content.nc", engine="h5netcdf")
    xr.testing.assert_identical(xr.load_dataset(tmp_path / "content.nc", engine="h5netcdf")["value"], found["value"])


def test_the_same_again(speech, found):
    again = content(recogniser(), corpus=speech, labels=["phones"], methods=["cka"], frames=2_500)
    xr.testing.assert_equal(again["value"].squeeze(), found["value"].sel({"label": "phones", "method": "cka"}))
    assert again["untrained"].isnull().all()
    assert again.attrs["untrained"] == ""


def test_utterances_without_alignment_are_left_out_and_named(speech):
    from dataclasses import replace

    bare = replace(speech.utterances[3], phones=())
    mixed = speech.keep([*speech.utterances[:3], bare, *speech.utterances[4:]])
    about = content(recogniser(), corpus=mixed, labels=["phones"], methods=["cka"], frames=500).attrs
    assert about["left_out"] == [f"{bare.id}: no times of phones"]
    assert about["utterances"] == len(speech) - 1


def test_a_diverged_layer_is_named_and_the_others_are_read(speech):
    model = recogniser(blocks=2)
    for weights in model.module.blocks[1].parameters():
        weights.data.fill_(torch.nan)
    found = content(model, corpus=speech, labels=["phones"], methods=["probe", "cka"], frames=500)
    assert found["value"].isnull().squeeze().values.tolist() == [[False] * 2] * 3 + [[True] * 2]
    assert [note.partition(": ")[0] for note in found.attrs["notes"]] == [
        "blocks.1, phones, probe",
        "blocks.1, phones, cka",
    ]
    assert "NaN or infinite" in found.attrs["notes"][0]


class OverTokens(ReferenceRecogniser):
    def layers(self):
        return [Layer("ctc", 4, 1.0, 1, "embedding", over="tokens")]


def test_what_cannot_be_read_is_refused(speech, an4_subset):
    def refused(match, model=None, *, corpus=speech, **asked):
        with pytest.raises(StudyError, match=match):
            content(model or recogniser(), corpus=corpus, **{"labels": ["phones"], "methods": ["cka"], **asked})

    refused("no label named 'vowels'; there are log-mel, phones", labels=["vowels"])
    refused("one or more different labels", labels=["phones", "phones"])
    refused("no method named 'svm' of reading a label; there are probe", methods=["svm"])
    refused("one or more different methods", methods=[])
    refused("at least 1 utterance and 1 frame", utterances=0)
    refused("at least 1 utterance and 1 frame", frames=0)
    refused("has no utterance to read labels on", corpus=speech.keep([]))
    refused(
        r"phones is read from alignments, .* has times of phones: the tsv layout .* --alignments",
        corpus=load(an4_subset),
    )
    refused(
        r"words is read from alignments, .* has times of words", corpus=load(an4_subset), labels=["log-mel", "words"]
    )
    refused("ctc runs over tokens", OverTokens(CnnConfig(blocks=1, units=8), CharacterTokens.of(["ABC"])))
    refused(
        "untrained recogniser is a baseline by its layers of the same names",
        recogniser(blocks=2),
        untrained=recogniser(),
    )
    one = speech.keep([u for u in speech if u.speaker == speech.utterances[0].speaker])
    refused("speakers", corpus=one, labels=["log-mel"])


def test_one_speaker_is_read_by_utterance(speech):
    one = speech.keep([u for u in speech if u.speaker == speech.utterances[0].speaker])
    found = content(recogniser(), corpus=one, labels=["log-mel"], methods=["cka"], by="utterance", frames=300)
    assert found["grouped"].item() == "utterance"
    assert found["groups"].item() == len(one)


# In a study


@pytest.fixture
def run(tmp_path, speech):
    """Three checkpoints of a run, and the features of the speech."""
    checkpoints = []
    for step in (0, 10, 20):
        path = tmp_path / f"step-{step:06d}.safetensors"
        recogniser(step, config=LstmConfig(blocks=1, units=12)).save(path)
        checkpoints.append(Checkpoint("lstm/seed0", step, path))
    by_id = {u.id: u for u in speech}
    store = FeatureStore.build(
        tmp_path / "features", [(u, 1.0) for u in by_id], lambda u: read_audio(by_id[u]), corpus_hash="x"
    )
    return checkpoints, store.path


def read(run, speech, folder, **asked):
    checkpoints, store = run
    return content_of_run(
        checkpoints,
        store_path=store,
        speech=speech.utterances,
        folder=folder,
        frames=1_000,
        **{"labels": ["phones"], "methods": ["cka"], **asked},
    )


def test_every_checkpoint_of_a_run_is_read_beside_the_untrained_one(run, speech, tmp_path):
    rows = read(run, speech, tmp_path / "measured", labels=["phones", "position"])
    of = {(r.step, r.layer, r.label): r for r in rows}
    assert {step for step, *_ in of} == {0, 10, 20}
    assert {(step, layer) for step, layer, _ in of if layer == "input"} == {(0, "input")}
    for (step, layer, label), row in of.items():
        assert row.untrained == of[0, layer, label].value
        assert np.isfinite(row.shuffled) == (step in (0, 20))
        assert (row.run, row.method, row.groups) == ("lstm/seed0", "cka", 10)
    assert of[0, "blocks.0", "phones"].value != of[20, "blocks.0", "phones"].value


def test_a_checkpoint_in_a_study_reads_as_anywhere_else(run, speech, tmp_path):
    rows = {r.layer: r.value for r in read(run, speech, tmp_path / "measured") if r.step == 0}
    alone = content(str(run[0][0].path), corpus=speech, labels=["phones"], methods=["cka"], frames=1_000)
    for layer in alone["layer"].values:
        assert rows[layer] == pytest.approx(alone["value"].sel(layer=layer).item(), abs=1e-6)


def test_what_is_done_is_not_done_again(run, speech, tmp_path):
    folder = tmp_path / "measured"
    before = read(run, speech, folder)
    stamps = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert len(stamps) == 3
    assert read(run, speech, folder)[0] == before[0]
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == stamps
    # Other weights of one checkpoint: that one alone is done anew.
    recogniser(99, config=LstmConfig(blocks=1, units=12)).save(run[0][1].path)
    read(run, speech, folder)
    assert [path.name for path in sorted(folder.iterdir()) if path.stat().st_mtime_ns != stamps[path]] == [
        "content-lstm.seed0@10.json"
    ]
    # Other labels: all of them.
    read(run, speech, folder, labels=["position"])
    assert all(path.stat().st_mtime_ns != stamps[path] for path in folder.iterdir())


def test_a_unit_that_was_not_read_yet_is_named(run, speech, tmp_path):
    (unit, *_) = plan_content({"lstm/seed0": run[0]}, ["phones"], ["cka"])
    with pytest.raises(StudyError, match=r"content-lstm.seed0@0 has not been read yet"):
        read_content_unit(unit, tmp_path)
    (tmp_path / f"{unit.name}.json").write_text("{broken")
    run_content_unit(unit, run[1], speech.utterances, tmp_path)
    assert read_content_unit(unit, tmp_path)[0].layer == "input"


def test_content_at_the_ends_is_of_the_first_and_last_checkpoint():
    runs = {run: [Checkpoint(run, step, Path(f"{run}/{step}")) for step in (0, 5, 9)] for run in ("a/seed0", "b/seed0")}
    every = plan_content(runs, ["phones"])
    assert [(u.checkpoint.step, u.inputs, u.shuffled) for u in every[:3]] == [
        (0, True, True),
        (5, False, False),
        (9, False, True),
    ]
    assert plan_content(runs, ["phones"], at="ends") == [u for u in every if u.checkpoint.step != 5]


def test_a_plan_with_an_unknown_label_is_refused(run):
    with pytest.raises(StudyError, match="no label named"):
        plan_content({"lstm/seed0": run[0]}, ["vowels"])
