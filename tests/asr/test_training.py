"""Training on real speech: it learns, and a run that was stopped goes on to the same numbers."""

import json
from dataclasses import replace

import pytest
import torch

from otoscope import TrainingError, load
from otoscope.asr import (
    PRESETS,
    CharacterTokens,
    FeatureStore,
    ReferenceRecogniser,
    Training,
    TrainingConfig,
    evaluate,
    is_finished,
    read_log,
)
from otoscope.asr.models.cnn import CnnConfig
from otoscope.asr.training import ctc_loss
from otoscope.corpora import read_audio


@pytest.fixture(scope="module")
def speech(an4_subset, tmp_path_factory):
    corpus = load(an4_subset)
    texts = {split: {u.id: u.text for u in corpus.split(split)} for split in ("train", "test")}
    by_id = {u.id: u for u in corpus}
    wanted = [(u, s) for u in texts["train"] for s in (1.0, 1.1)] + [(u, 1.0) for u in texts["test"]]
    folder = tmp_path_factory.mktemp("features")
    store = FeatureStore.build(folder, wanted, lambda u: read_audio(by_id[u]), corpus_hash=corpus.hash())
    return texts, store


@pytest.fixture
def training(speech, tmp_path):
    texts, store = speech
    config = TrainingConfig(epochs=2, batch_seconds=15.0, speeds=(1.0, 1.1), checkpoints=4)
    tokens = CharacterTokens.of(texts["train"].values())
    model = CnnConfig(blocks=2, units=24, kernel=5, dropout=0.2)
    return Training(tmp_path / "run", model, tokens, store, texts["train"], texts["test"], config)


class StoppingStore(FeatureStore):
    """A store that interrupts the training that reads from it, as Ctrl-C would."""

    def __init__(self, path, reads):
        super().__init__(path)
        self.left = reads

    def get(self, utterance, speed=1.0):
        if self.left == 0:
            raise KeyboardInterrupt
        self.left -= 1
        return super().get(utterance, speed)


def numbers(folder):
    """Everything in the log but the wall clock."""
    return [{k: v for k, v in row.items() if k != "seconds"} for row in read_log(folder)]


def weights(folder):
    return ReferenceRecogniser.load(max((folder / "checkpoints").glob("*.safetensors"))).module.state_dict()


def test_the_log_and_the_checkpoints_agree(training):
    assert not is_finished(training.folder)
    training.run()
    rows = read_log(training.folder)
    steps = [row for row in rows if row["kind"] == "step"]
    kept = [row for row in rows if row["kind"] == "checkpoint"]
    assert [row["step"] for row in steps] == list(range(1, len(steps) + 1))
    assert kept[0]["step"] == 0
    assert kept[-1]["step"] == kept[-1]["total"] == len(steps)
    assert kept[-1]["epoch"] == 2.0
    files = sorted(path.name for path in (training.folder / "checkpoints").iterdir())
    assert files == [f"step-{row['step']:06d}.safetensors" for row in kept]
    assert sum(row["utterances"] for row in steps) == 2 * len(training.train_texts)
    assert is_finished(training.folder)


@pytest.mark.parametrize("stop_at", [0, 20, 60, 100])
def test_a_stopped_run_goes_on_to_the_same_numbers(training, tmp_path, stop_at):
    whole = replace(training, folder=tmp_path / "whole")
    whole.run()
    stopped = replace(training, store=StoppingStore(training.store.path, reads=stop_at))
    with pytest.raises(KeyboardInterrupt):
        stopped.run()
    assert not is_finished(stopped.folder)
    # What a kill in the middle of a write leaves behind: a line cut short, and a temporary file.
    with (training.folder / "log.jsonl").open("a") as log:
        log.write('{"kind": "step", "st')
    (training.folder / "checkpoints" / "step-000099.1.tmp").write_bytes(b"half")
    training.run()
    assert numbers(training.folder) == numbers(whole.folder)
    for name, weight in weights(whole.folder).items():
        assert torch.equal(weight, weights(training.folder)[name])


def test_a_finished_run_is_left_alone(training):
    training.run()
    before = (training.folder / "log.jsonl").read_bytes()
    training.run()
    assert (training.folder / "log.jsonl").read_bytes() == before


@pytest.mark.parametrize("architecture", ["cnn", "lstm", "transformer"])
def test_each_recogniser_learns_real_speech(training, architecture):
    """From chance to less than half of the loss on what it trains on; enough to know that gradients flow."""
    texts = dict(list(training.train_texts.items())[:12])
    model = replace(PRESETS[architecture]["small"].model, blocks=2, units=96)
    config = TrainingConfig(epochs=40, batch_seconds=40.0, speeds=(1.0,), checkpoints=2, peak_learning_rate=3e-3)
    run = replace(training, model=model, config=config, train_texts=texts, dev_texts=texts)
    run.run()
    first, *_, last = (row for row in read_log(run.folder) if row["kind"] == "checkpoint")
    assert last["dev_loss"] < 0.5 * first["dev_loss"]


def test_batches_of_any_size_give_the_same_evaluation(training):
    torch.manual_seed(1)
    recogniser = ReferenceRecogniser(training.model, training.tokens)
    whole = evaluate(recogniser, training.store, training.dev_texts)
    single = evaluate(recogniser, training.store, training.dev_texts, batch_frames=1)
    assert single[0] == whole[0]
    assert single[1] == pytest.approx(whole[1], rel=1e-5)
    assert single[2] == whole[2]


def test_the_loss_is_that_of_each_utterance_alone():
    torch.manual_seed(0)
    log_probs = torch.randn(2, 9, 4).log_softmax(-1)
    lengths = torch.tensor([9, 6])
    both = ctc_loss(log_probs, lengths, [[1, 2, 3], [2, 2]])
    alone = ctc_loss(log_probs[1:, :6], lengths[1:], [[2, 2]])
    torch.testing.assert_close(both[1:], alone)


def test_a_loss_that_is_not_finite_stops_and_names_the_utterances(training):
    long = next(iter(training.train_texts))
    texts = {**training.train_texts, long: training.train_texts[long] * 60}
    bad = replace(training, train_texts=texts)
    with pytest.raises(TrainingError, match=rf"not finite on: {long}\)"):
        bad.run()
    assert (training.folder / "checkpoints" / "step-000000.safetensors").exists()


def test_what_is_not_a_checkpoint_is_refused(tmp_path):
    path = tmp_path / "x.safetensors"
    path.write_bytes(b"not a checkpoint")
    with pytest.raises(TrainingError, match="cannot be read as a safetensors checkpoint"):
        ReferenceRecogniser.load(path)


def test_a_log_is_lines_of_json(training):
    training.run()
    for line in (training.folder / "log.jsonl").read_text().splitlines():
        assert {"kind", "step", "seconds"} <= set(json.loads(line))


@pytest.mark.parametrize("lost", ["log", "checkpoint", "state"])
def test_a_run_that_lost_a_file_begins_anew_to_the_same_numbers(training, tmp_path, lost):
    """What a power cut can leave: a state ahead of its log, a missing checkpoint, a state cut short."""
    whole = replace(training, folder=tmp_path / "whole")
    whole.run()
    training.run()
    log = training.folder / "log.jsonl"
    if lost == "log":
        log.write_text("".join(log.read_text().splitlines(keepends=True)[:4]))
    elif lost == "checkpoint":
        log.write_text("".join(log.read_text().splitlines(keepends=True)[:-1]))
        (training.folder / "checkpoints" / "step-000000.safetensors").unlink()
    else:
        log.write_text("".join(log.read_text().splitlines(keepends=True)[:-1]))
        state = training.folder / "state.safetensors"
        state.write_bytes(state.read_bytes()[:1000])
    training.run()
    assert numbers(training.folder) == numbers(whole.folder)
    assert is_finished(training.folder)


class Spy:
    """Notes the mode and the weights that a watcher is shown, and draws random numbers of its own."""

    def __init__(self):
        self.seen = {}

    def at_checkpoint(self, recogniser, step, total, row):
        assert not recogniser.module.training
        assert torch.is_inference_mode_enabled()
        torch.rand(7)
        recogniser.module.train()
        self.seen[step] = total, row["dev_wer"], {k: v.clone() for k, v in recogniser.module.state_dict().items()}


def test_a_watcher_sees_each_checkpoint_and_disturbs_nothing(training, tmp_path):
    spy = Spy()
    replace(training, folder=tmp_path / "watched", watchers=(spy, Spy())).run()
    training.run()
    rows = [row for row in read_log(training.folder) if row["kind"] == "checkpoint"]
    assert [(s, t, w) for s, (t, w, _) in spy.seen.items()] == [(r["step"], r["total"], r["dev_wer"]) for r in rows]
    last = spy.seen[rows[-1]["step"]][2]
    for name, weight in weights(training.folder).items():
        assert torch.equal(weight, last[name])
    watched = [row for row in read_log(tmp_path / "watched") if row["kind"] == "checkpoint"]
    assert all(row["watching_seconds"] >= 0 for row in watched)
