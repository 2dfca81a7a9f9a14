"""Training that goes wrong is stopped, by its real causes, and says where, on what, and what is still good."""

from dataclasses import replace

import pytest
import torch

from otoscope import TrainingError
from otoscope.asr import FeatureStore, ReferenceRecogniser, is_finished
from otoscope.asr.training.guard import STEPS, TIMES, Guard
from tests.asr.training.runs import rows


def finite(folder, step):
    weights = ReferenceRecogniser.load(folder / "checkpoints" / f"step-{step:06d}.safetensors").module.state_dict()
    return all(w.isfinite().all() for w in weights.values())


class CorruptStore(FeatureStore):
    """A store in which one cell of one utterance has been damaged on the disk."""

    def __init__(self, path, damaged, value):
        super().__init__(path)
        self.damaged, self.value = damaged, value

    def get(self, utterance, speed=1.0):
        features = super().get(utterance, speed).clone()
        if utterance == self.damaged:
            features[:, 3] = self.value
        return features


def test_a_transcript_too_long_for_its_speech_is_named(training):
    long = next(iter(training.train_texts))
    bad = replace(training, train_texts={**training.train_texts, long: training.train_texts[long] * 60})
    with pytest.raises(TrainingError, match=rf"the loss at step \d+ is inf \(not finite on: {long}\)\. The last good"):
        bad.run()
    assert finite(training.folder, 0)


@pytest.mark.parametrize("value", [float("inf"), float("nan")])
def test_damaged_features_are_named(training, value):
    damaged = list(training.train_texts)[5]
    bad = replace(training, store=CorruptStore(training.store.path, damaged, value))
    with pytest.raises(TrainingError, match=rf"the loss at step \d+ is nan \(not finite on: {damaged}\)"):
        bad.run()
    assert not is_finished(training.folder)


class Overflow:
    """Makes the gradient of the output's weights overflow from the second checkpoint on, as bfloat16 can."""

    def at_checkpoint(self, recogniser, step, total, row):
        if step:
            recogniser.module.output.weight.register_hook(lambda gradient: gradient * 1e38)


def test_a_gradient_that_is_not_finite_stops_before_it_reaches_the_weights(training):
    with pytest.raises(TrainingError, match=r"the gradient at step (\d+) is not finite \(norm inf\)") as caught:
        replace(training, watchers=(Overflow(),)).run()
    last = rows(training.folder, "checkpoint")[-1]["step"]
    assert f"at step {last + 1} " in str(caught.value)
    assert f"step-{last:06d}.safetensors" in str(caught.value)
    assert any(utterance in str(caught.value) for utterance in training.train_texts)
    assert finite(training.folder, last)


def test_a_learning_rate_far_too_high_is_stopped_as_a_loss_that_explodes(training):
    config = replace(training.config, epochs=20, peak_learning_rate=30.0, warmup=0.5, checkpoints=20)
    with pytest.raises(TrainingError, match=r"the loss at step (\d+) has been above 5 times its running median") as one:
        replace(training, config=config).run()
    steps = rows(training.folder, "step")
    good = int(str(one.value).partition("step-")[2][:6])
    assert good < steps[-1]["step"] - STEPS + 1
    assert finite(training.folder, good)
    assert steps[-1]["loss"] > 3 * steps[0]["loss"]
    with pytest.raises(TrainingError, match="has been above 5 times") as again:  # the same command says the same
        replace(training, config=config).run()
    assert str(again.value).partition("the last batch")[0] == str(one.value).partition("the last batch")[0]


def row(step, loss, utterances=4, seconds=12.0):
    return {"kind": "step", "step": step, "loss": loss, "utterances": utterances, "speech_seconds": seconds}


def test_the_guard_lets_pass_what_training_does(tmp_path):
    """Batches of long and short utterances, a bad batch now and then, a loss that falls a hundredfold."""
    torch.manual_seed(0)
    guard = Guard(tmp_path)
    for step in range(1, 1000):
        per_second = 90 * 0.995**step * float(torch.rand(()) + 0.5)
        utterances, seconds = (40, 60.0) if step % 2 else (3, 57.0)
        if step % 17 < STEPS - 1:
            per_second *= 2 * TIMES if step % 34 < 17 else 1
        guard.note(row(step, per_second * seconds / utterances, utterances, seconds))


def test_the_guard_stops_after_a_run_of_high_losses_and_names_the_checkpoint_before(tmp_path):
    guard = Guard(tmp_path)
    for step in range(1, 50):
        if step % 5 == 0:
            guard.note({"kind": "checkpoint", "step": step})
        if step < 33 + STEPS - 1:
            guard.note(row(step, 100.0 if step < 33 else 501.0))
        else:
            with pytest.raises(TrainingError, match=r"step-000030\.safetensors.*Lower peak_learning_rate") as caught:
                guard.note(row(step, 501.0), [f"u{i}" for i in range(12)])
            assert "u9 and 2 more" in str(caught.value)
            return
