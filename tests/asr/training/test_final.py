"""Early stopping, and the model that a run ends with."""

from dataclasses import replace

import pytest
import torch

from otoscope.asr import ReferenceRecogniser, TrainingConfig, evaluate, is_finished
from otoscope.asr.training import final_checkpoint
from otoscope.asr.training.averaging import MovingAverage
from otoscope.asr.training.final import chosen, ended_early
from tests.asr.training.runs import rows


def checkpoints(*scores, total=80):
    steps = [round(total * i / (len(scores) - 1)) for i in range(len(scores))]
    return [{"step": s, "dev_wer": w, "dev_loss": x} for s, (w, x) in zip(steps, scores, strict=True)]


def test_training_ends_where_dev_no_longer_gains():
    falling = checkpoints(*[(0.9 - 0.1 * i, 5.0) for i in range(9)])
    assert not ended_early(falling, patience=1, total=80)
    stuck = checkpoints((1.0, 9.0), (0.8, 8.0), (0.5, 7.0), (0.6, 6.0), (0.7, 5.0))
    assert ended_early(stuck, patience=2, total=80)
    assert not ended_early(stuck, patience=3, total=80)
    assert not ended_early(stuck, patience=0, total=80)


def test_of_equal_error_rates_the_loss_decides():
    """Before the first word is right every WER is 1, while the loss falls."""
    silent = checkpoints(*[(1.0, 9.0 - i) for i in range(6)])
    assert not ended_early(silent, patience=1, total=80)
    assert ended_early([*silent[:4], {"step": 70, "dev_wer": 1.0, "dev_loss": 8.5}], patience=1, total=80)


def test_the_close_checkpoints_of_the_beginning_do_not_count():
    early = [{"step": s, "dev_wer": 1.0, "dev_loss": 5.0 + s} for s in range(9)]
    assert not ended_early(early, patience=2, total=80)
    late = [{"step": s, "dev_wer": 1.0, "dev_loss": 50.0} for s in (20, 40)]
    assert ended_early([*early, *late], patience=2, total=80)


@pytest.mark.parametrize(
    ("settings", "steps"),
    [
        ({}, [80]),
        ({"patience": 9}, [40]),
        ({"average": 1}, [40]),
        ({"average": 2}, [20, 40]),
        ({"average": 3, "average_of": "last"}, [40, 60, 80]),
    ],
)
def test_which_checkpoints_the_final_model_is_made_of(settings, steps):
    kept = checkpoints((1.0, 9.0), (0.4, 5.0), (0.3, 7.0), (0.5, 6.0), (0.6, 5.0))
    assert [row["step"] for row in chosen(kept, TrainingConfig(**settings))] == steps


def test_a_run_without_gain_ends_early_with_its_best_checkpoint(training):
    config = replace(training.config, epochs=10, checkpoints=30, patience=2, peak_learning_rate=1e-12)
    replace(training, config=config).run()
    kept = rows(training.folder, "checkpoint")
    assert kept[-1]["step"] < kept[-1]["total"]
    assert is_finished(training.folder)
    best = min(kept, key=lambda row: (row["dev_wer"], row["dev_loss"]))
    assert kept[-1]["final"] == f"step-{best['step']:06d}.safetensors"
    assert kept[-1]["final_dev_loss"] == best["dev_loss"]
    assert final_checkpoint(training.folder).is_file()


def test_the_mean_of_checkpoints_is_saved_and_scored(training):
    replace(training, config=replace(training.config, average=3, average_of="last")).run()
    kept = rows(training.folder, "checkpoint")
    final = ReferenceRecogniser.load(final_checkpoint(training.folder))
    own = [training.folder / "checkpoints" / f"step-{row['step']:06d}.safetensors" for row in kept[-3:]]
    states = [ReferenceRecogniser.load(path).module.state_dict() for path in own]
    for name, weight in final.module.state_dict().items():
        torch.testing.assert_close(weight, torch.stack([s[name] for s in states]).mean(0), atol=1e-6, rtol=1e-6)
    scored = evaluate(final, training.store, training.dev_texts)
    assert kept[-1]["final_dev_loss"] == pytest.approx(scored.loss, abs=1e-4)
    assert (kept[-1]["final_dev_wer"], kept[-1]["final_dev_cer"]) == (scored.rates.wer, scored.rates.cer)
    assert "final" not in kept[-2]


def test_the_moving_average_is_that_of_all_updates():
    """Against the sum written out: w̄ = Σ (1 − dₜ) wₜ Π_{s > t} d_s, with the first weights as w₀."""
    layer = torch.nn.Linear(3, 2)
    moving = MovingAverage(layer, 0.5)
    seen = [layer.weight.detach().clone()]
    for step in range(1, 12):
        with torch.no_grad():
            layer.weight += torch.randn_like(layer.weight)
        seen.append(layer.weight.detach().clone())
        moving.update(layer, step)
    decays = [0.0] + [min(0.5, (1 + t) / (10 + t)) for t in range(1, 12)]
    expected = torch.zeros(2, 3)
    for t, weight in enumerate(seen):
        share = 1 - decays[t]
        for later in decays[t + 1 :]:
            share *= later
        expected += share * weight
    torch.testing.assert_close(moving.weights["weight"], expected)


def test_a_run_with_a_moving_average_ends_with_it(training):
    replace(training, config=replace(training.config, ema=0.8)).run()
    last = rows(training.folder, "checkpoint")[-1]
    assert last["final"] == "averaged.safetensors"
    final = ReferenceRecogniser.load(final_checkpoint(training.folder))
    scored = evaluate(final, training.store, training.dev_texts)
    assert last["final_dev_loss"] == pytest.approx(scored.loss, abs=1e-4) != last["dev_loss"]


def test_without_a_checkpoint_there_is_no_final_one(tmp_path):
    with pytest.raises(FileNotFoundError, match="no checkpoint in"):
        final_checkpoint(tmp_path)
