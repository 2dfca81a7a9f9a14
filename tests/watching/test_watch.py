"""A watch over real trainings: what it logs, that it disturbs nothing, that it goes on after a stop."""

import json
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from otoscope import CaptureError, Layer, MeasureError, StudyError, load, reduce, similarity
from otoscope.asr import CharacterTokens, FeatureStore, ReferenceRecogniser, Training, TrainingConfig, pad, read_log
from otoscope.asr.models.cnn import CnnConfig
from otoscope.corpora import read_audio
from otoscope.watching import SimilarityWatch, read_watch, through_training
from otoscope.watching.board import CELL

MEASURES = ("cka", "cca")


@pytest.fixture(scope="module")
def speech(an4_subset, tmp_path_factory):
    corpus = load(an4_subset)
    texts = {split: {u.id: u.text for u in corpus.split(split)} for split in ("train", "test")}
    by_id = {u.id: u for u in corpus}
    wanted = [(u.id, 1.0) for u in corpus]
    folder = tmp_path_factory.mktemp("features")
    return texts, FeatureStore.build(folder, wanted, lambda u: read_audio(by_id[u]), corpus_hash=corpus.hash())


@pytest.fixture(scope="module")
def probe(speech):
    """The features of the test utterances, of differing lengths."""
    texts, store = speech
    return [store.get(u) for u in texts["test"]]


@pytest.fixture
def training(speech, tmp_path):
    texts, store = speech
    config = TrainingConfig(epochs=2, batch_seconds=15.0, speeds=(1.0,), checkpoints=4)
    tokens = CharacterTokens.of(texts["train"].values())
    model = CnnConfig(blocks=2, units=24, kernel=5, dropout=0.2)
    return Training(tmp_path / "run", model, tokens, store, texts["train"], texts["test"], config)


def watch_over(folder, probe, **settings):
    batches = [pad(probe[:8]), pad(probe[8:])]
    return SimilarityWatch(folder, batches, **{"measures": MEASURES, "budget": None, **settings})


def recogniser_of(training, seed=0):
    torch.manual_seed(seed)
    return ReferenceRecogniser(training.model, training.tokens)


class Stopping:
    """A watcher that interrupts the training, as Ctrl-C would."""

    def __init__(self, step):
        self.step = step

    def at_checkpoint(self, recogniser, step, total, row):
        if step == self.step:
            raise KeyboardInterrupt


def without_clock(rows):
    kept = [{k: v for k, v in row.items() if k != "overhead"} for row in rows]
    return [
        {**row, "training": {k: v for k, v in row.get("training", {}).items() if "seconds" not in k}} for row in kept
    ]


def test_rows_are_what_measuring_the_saved_checkpoints_gives(training, probe, tmp_path):
    watched = replace(training, watchers=[watch_over(tmp_path / "watch", probe)])
    watched.run()
    about, *rows = read_watch(tmp_path / "watch")
    steps = [row["step"] for row in read_log(training.folder) if row["kind"] == "checkpoint"]
    assert [row["step"] for row in rows] == steps
    assert len(steps) == 4
    assert about["utterances"] == 16
    assert rows[-1]["training"]["dev_wer"] == read_log(training.folder)[-1]["dev_wer"]
    saved = {s: ReferenceRecogniser.load(training.folder / f"checkpoints/step-{s:06d}.safetensors") for s in steps}
    names = [layer["name"] for layer in about["layers"]]
    assert names == ["subsample", "blocks.0", "blocks.1"]
    for i, row in enumerate(rows):
        moments = reduce({str(s): saved[s] for s in steps[: i + 1]}, [pad(probe)])
        now = [f"{steps[i]}:{name}" for name in names]
        assert row["frames"] == moments.frames
        assert row["earlier"] == steps[:i]
        assert row["refused"] == row["left_out"] == []
        for measure in MEASURES:
            found = row["measures"][measure]
            whole = similarity(moments, measure=measure, layers_x=now, layers_y=now)
            np.testing.assert_allclose(found["within"]["value"], whole.values, atol=1e-6)
            np.testing.assert_allclose(found["within"]["null"], whole[f"{measure}_null"].values, atol=1e-6)
            for j, earlier in enumerate(steps[:i]):
                before = [f"{earlier}:{name}" for name in names]
                across = np.diag(similarity(moments, measure=measure, layers_x=before, layers_y=now).values)
                np.testing.assert_allclose([v[j] for v in found["to_final"]["value"]], across, atol=1e-6)
            if i:
                np.testing.assert_allclose(found["to_previous"]["value"], across, atol=1e-6)
            else:
                assert "to_previous" not in found
    curves = through_training([about, *rows], "cka")
    assert (
        float(curves.sel(layer="blocks.1", step=0, final=steps[-1]))
        == rows[-1]["measures"]["cka"]["to_final"]["value"][2][0]
    )
    assert 0 < float(curves.sel(layer="blocks.1", step=0, final=steps[-1])) < 0.999, "training moved the layer"


def test_training_is_the_same_with_and_without(training, probe, tmp_path):
    alone = replace(training, folder=tmp_path / "alone")
    alone.run()
    watched = replace(training, watchers=[watch_over(tmp_path / "watch", probe)])
    watched.run()
    ends = [max((run.folder / "checkpoints").iterdir()) for run in (alone, watched)]
    assert ends[0].read_bytes() == ends[1].read_bytes()


@pytest.mark.parametrize("stop", ["a checkpoint before it is looked at", "one after"])
def test_a_stopped_run_goes_on_in_the_same_log(training, probe, tmp_path, stop):
    whole = replace(training, folder=tmp_path / "whole", watchers=[watch_over(tmp_path / "whole-watch", probe)])
    whole.run()
    steps = [row["step"] for row in read_watch(tmp_path / "whole-watch")[1:]]
    folder = tmp_path / "watch"
    watchers = [watch_over(folder, probe), Stopping(steps[2])]
    stopped = replace(training, watchers=watchers if "after" in stop else watchers[::-1])
    with pytest.raises(KeyboardInterrupt):
        stopped.run()
    with (folder / "watch.jsonl").open("a") as log:  # what a kill in the middle of a write leaves behind
        log.write('{"kind": "checkpoint", "st')
    replace(training, watchers=[watch_over(folder, probe)]).run()
    assert without_clock(read_watch(folder)) == without_clock(read_watch(tmp_path / "whole-watch"))


def test_a_step_that_comes_again_replaces_its_row_and_those_after(training, probe, tmp_path):
    watch, first, second = watch_over(tmp_path, probe), recogniser_of(training, 0), recogniser_of(training, 1)
    for step in (0, 10, 20, 10):
        watch.at_checkpoint(first if step == 0 else second, step)
    assert [row["step"] for row in read_watch(tmp_path)[1:]] == [0, 10]
    assert sorted(path.name for path in (tmp_path / "probe").iterdir()) == [
        "step-000000000.safetensors",
        "step-000000010.safetensors",
    ]


def test_batches_and_padding_change_nothing(training, probe, tmp_path):
    recognisers = [recogniser_of(training, seed) for seed in (0, 1)]
    features, lengths = pad(probe)
    padded = [(torch.nn.functional.pad(features, (0, 0, 0, 100)), lengths)]
    for name, batches in {"alone": [pad([x]) for x in probe], "padded": padded}.items():
        watch = SimilarityWatch(tmp_path / name, batches, budget=None)
        for step, recogniser in enumerate(recognisers):
            watch.at_checkpoint(recogniser, step)
    alone, together = (read_watch(tmp_path / name)[-1]["measures"]["cka"] for name in ("alone", "padded"))
    for kind in ("within", "to_final", "to_previous"):
        np.testing.assert_allclose(alone[kind]["value"], together[kind]["value"], atol=1e-5)


def test_only_so_many_checkpoints_are_kept_and_the_log_says_which_went(training, probe, tmp_path):
    watch = watch_over(tmp_path, probe, most_kept=3)
    for step in (0, 10, 100, 120):
        watch.at_checkpoint(recogniser_of(training, step), step)
    rows = read_watch(tmp_path)[1:]
    assert [row["no_longer_kept"] for row in rows] == [[], [], [], [100]]
    watch.at_checkpoint(recogniser_of(training), 130)
    assert read_watch(tmp_path)[-1]["earlier"] == [0, 10, 120]


def test_a_budget_that_holds_nothing_leaves_checkpoints_out_and_says_so(training, probe, tmp_path):
    watch = watch_over(tmp_path, probe, budget=1e-9)
    for step in (0, 5, 10):
        watch.at_checkpoint(recogniser_of(training), step, 10)
    assert [row["kind"] for row in read_watch(tmp_path)] == ["watch", "checkpoint", "skipped", "skipped"]
    assert read_watch(tmp_path)[-1]["left_out"] == ["this checkpoint"]
    share = read_watch(tmp_path)[-1]["overhead"]
    assert share["share"] == pytest.approx(share["watching_seconds"] / share["training_seconds"], rel=0.01)
    again = watch_over(tmp_path, probe, budget=1e-9)
    again.at_checkpoint(recogniser_of(training), 11, 20)
    assert read_watch(tmp_path)[-1]["kind"] == "skipped", "the cost is known from the log"


def test_weights_that_are_lost_are_told_and_do_not_stop_the_training(training, probe, tmp_path):
    watch, recogniser = watch_over(tmp_path, probe), recogniser_of(training)
    watch.at_checkpoint(recogniser, 0)
    with torch.no_grad():
        for parameter in recogniser.module.parameters():
            parameter.fill_(float("nan"))
    watch.at_checkpoint(recogniser, 1)
    row = read_watch(tmp_path)[-1]
    assert any("NaN" in reason for reason in row["refused"])
    assert row["measures"]["cka"]["to_previous"]["value"] == [None] * 3
    json.dumps(row, allow_nan=False)


def test_chosen_layers_are_watched(training, probe, tmp_path):
    recogniser = recogniser_of(training)
    layers = recogniser.layers()[1:]
    watch_over(tmp_path, probe, layers=layers).at_checkpoint(recogniser, 0)
    assert [layer["name"] for layer in read_watch(tmp_path)[0]["layers"]] == ["blocks.0", "blocks.1"]
    wrong = [Layer("blocks.9", 24, 0.04, 1, "cnn")]
    with pytest.raises(CaptureError, match=r"no layer matches 'blocks\.9'"):
        watch_over(tmp_path / "wrong", probe, layers=wrong).at_checkpoint(recogniser, 0)


def test_tensorboard_has_curves_and_heatmaps(training, probe, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    watch = watch_over(tmp_path, probe, tensorboard=tmp_path / "board")
    for step in (0, 10, 20):
        watch.at_checkpoint(recogniser_of(training, step), step)
    watch.close()
    events = EventAccumulator(str(tmp_path / "board"))
    events.Reload()
    last = read_watch(tmp_path)[-1]["measures"]["cca"]
    for tag, values in (
        ("to_previous", last["to_previous"]["value"]),
        ("to_first", np.array(last["to_final"]["value"])[:, 0]),
    ):
        for layer, value in zip(["subsample", "blocks.0", "blocks.1"], values, strict=True):
            point = events.Scalars(f"cca/{tag}/{layer}")[-1]
            assert point.step == 20
            assert point.value == pytest.approx(value, abs=1e-6)
    image = events.Images("cka/to_final")[-1]
    assert (image.height, image.width) == (3 * CELL, 2 * CELL)
    assert [image.step for image in events.Images("cka/within")] == [0, 10, 20]


def test_without_tensorboard_the_message_says_what_to_install(training, probe, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    watch = watch_over(tmp_path, probe, tensorboard=tmp_path / "board")
    with pytest.raises(StudyError, match=r"pip install 'otoscope\[tensorboard\]'"):
        watch.at_checkpoint(recogniser_of(training), 0)


def test_what_cannot_be_watched_is_refused(training, probe, tmp_path):
    with pytest.raises(StudyError, match="the probe set has 1 utterances"):
        SimilarityWatch(tmp_path, [pad(probe[:1])])
    with pytest.raises(MeasureError, match="no measure named 'ckaa'"):
        watch_over(tmp_path, probe, measures=["ckaa"])
    with pytest.raises(MeasureError, match=r"got \['cka-partial'\]; leave those out"):
        watch_over(tmp_path, probe, measures=["cka", "cka-partial"])
    with pytest.raises(StudyError, match="budget is 0 and most_kept 16; expected a share above 0"):
        watch_over(tmp_path, probe, budget=0)
    with pytest.raises(StudyError, match="no 'cca' in the log of this watch; there is cka"):
        through_training([{"kind": "watch", "measures": ["cka"], "layers": []}], "cca")


def test_the_log_of_another_watch_is_left_alone(training, probe, tmp_path):
    watch_over(tmp_path, probe).at_checkpoint(recogniser_of(training), 0)
    before = (tmp_path / "watch.jsonl").read_bytes()
    with pytest.raises(StudyError, match="another watch: it differs in utterances, probe"):
        SimilarityWatch(tmp_path, [pad(probe[:8])], measures=MEASURES).at_checkpoint(recogniser_of(training), 10)
    assert (tmp_path / "watch.jsonl").read_bytes() == before


def test_frames_that_were_damaged_are_named(training, probe, tmp_path):
    watch = watch_over(tmp_path, probe)
    watch.at_checkpoint(recogniser_of(training), 0)
    (tmp_path / "probe" / "step-000000000.safetensors").write_bytes(b"half")
    with pytest.raises(StudyError, match=r"step-000000000\.safetensors cannot be read as the frames of a probe set"):
        watch.at_checkpoint(recogniser_of(training), 1)
