"""Training on real speech: it learns, logs what it does, and shows it to those who watch."""

import json
from dataclasses import replace

import pytest
import torch

from otoscope import TrainingError
from otoscope.asr import PRESETS, ReferenceRecogniser, TrainingConfig, evaluate, is_finished, pad, read_log
from otoscope.asr.decoding.attention import AttentionSearch
from otoscope.asr.models import LstmDecoderConfig
from otoscope.asr.objectives import ctc_loss
from otoscope.asr.training import word_errors
from tests.asr.training.runs import losses, numbers, rows, weights


def test_the_log_and_the_checkpoints_agree(training):
    assert not is_finished(training.folder)
    training.run()
    steps, kept = rows(training.folder, "step"), rows(training.folder, "checkpoint")
    assert [row["step"] for row in steps] == list(range(1, len(steps) + 1))
    assert kept[0]["step"] == 0
    assert kept[-1]["step"] == kept[-1]["total"] == len(steps)
    assert kept[-1]["epoch"] == 2.0
    files = sorted(path.name for path in (training.folder / "checkpoints").iterdir())
    assert files == [f"step-{row['step']:06d}.safetensors" for row in kept]
    assert sum(row["utterances"] for row in steps) == 2 * len(training.train_texts)
    assert is_finished(training.folder)


def test_the_log_says_how_much_speech_went_by(training):
    replace(training, config=replace(training.config, speeds=(1.0,))).run()
    steps = rows(training.folder, "step")
    spoken = sum(training.store.frames(u) for u in training.train_texts) * 0.01
    assert sum(row["speech_seconds"] for row in steps) == pytest.approx(2 * spoken, abs=0.01 * len(steps))
    for row in steps:
        assert 0 < row["speech_seconds"] <= 15.0
        assert row["speech_per_second"] > 0
        assert row["loading_seconds"] >= 0
    # Seconds of speech a second, loading and computing: they add up to no more than the whole.
    busy = sum(row["speech_seconds"] / row["speech_per_second"] for row in steps)
    assert sum(row["loading_seconds"] for row in steps) < busy <= rows(training.folder, "checkpoint")[-1]["seconds"]


def test_a_log_is_lines_of_json(training):
    training.run()
    for line in (training.folder / "log.jsonl").read_text().splitlines():
        assert {"kind", "step", "seconds"} <= set(json.loads(line))


def test_attention_alone_is_scored_by_what_attention_writes(training):
    torch.manual_seed(0)
    recogniser = ReferenceRecogniser(training.model, training.tokens, decoder=LstmDecoderConfig(units=16))
    scored = evaluate(recogniser, training.store, training.dev_texts, ctc_weight=0.0)
    search = AttentionSearch(training.tokens, beam_size=1)
    for utterance, text in scored.transcripts.items():
        encoded = recogniser.encode(*pad([training.store.get(utterance)]))
        assert search.decode(recogniser.module.decoder, encoded.hidden, encoded.lengths) == [text]
    by_ctc = evaluate(recogniser, training.store, training.dev_texts)
    assert by_ctc.transcripts != scored.transcripts
    joint = evaluate(recogniser, training.store, training.dev_texts, ctc_weight=0.5)
    assert joint.transcripts == by_ctc.transcripts
    assert joint.loss == pytest.approx((by_ctc.loss + scored.loss) / 2, rel=1e-5)


@pytest.mark.parametrize("architecture", list(PRESETS))
def test_each_recogniser_learns_real_speech(training, architecture):
    """From chance to less than half of the loss on what it trains on; enough to know that gradients flow."""
    texts = dict(list(training.train_texts.items())[:12])
    model = replace(PRESETS[architecture]["small"].model, blocks=2, units=96)
    config = TrainingConfig(epochs=40, batch_seconds=40.0, speeds=(1.0,), checkpoints=2, peak_learning_rate=3e-3)
    run = replace(training, model=model, config=config, train_texts=texts, dev_texts=texts)
    run.run()
    first, *_, last = rows(run.folder, "checkpoint")
    assert last["dev_loss"] < 0.5 * first["dev_loss"]


def test_an_attention_decoder_is_trained_with_the_encoder(training):
    config = replace(training.config, epochs=6, ctc_weight=0.3, peak_learning_rate=3e-3)
    joint = replace(training, decoder=LstmDecoderConfig(units=32), config=config)
    joint.run()
    first, *_, last = rows(joint.folder, "checkpoint")
    assert last["dev_loss"] < 0.7 * first["dev_loss"]
    assert ReferenceRecogniser.load(joint.folder / "checkpoints" / last["final"]).decoder == joint.decoder


def test_bfloat16_trains_as_float32_does_within_its_precision(training, tmp_path):
    """Eight bits of mantissa: losses agree to about one per cent while the weights are still close."""
    plain = replace(training, model=replace(training.model, dropout=0.0))
    mixed = replace(plain, folder=tmp_path / "mixed", config=replace(plain.config, precision="bfloat16"))
    plain.run()
    mixed.run()
    assert losses(mixed.folder) != losses(plain.folder)
    assert losses(mixed.folder) == pytest.approx(losses(plain.folder), rel=0.03)
    assert {w.dtype for w in weights(mixed.folder).values()} == {torch.float32}


def test_a_gpu_that_is_not_there_is_missed_at_once(training):
    if torch.cuda.is_available():
        pytest.skip("there is one")
    config = replace(training.config, device="cuda")
    with pytest.raises(TrainingError, match=r"has no GPU to train on: torch .* finds 0"):
        replace(training, config=config).run()
    assert not training.folder.exists()


def test_batches_of_any_size_give_the_same_evaluation(training):
    torch.manual_seed(1)
    recogniser = ReferenceRecogniser(training.model, training.tokens)
    whole = evaluate(recogniser, training.store, training.dev_texts)
    single = evaluate(recogniser, training.store, training.dev_texts, batch_frames=1)
    assert single.rates == whole.rates
    assert single.loss == pytest.approx(whole.loss, rel=1e-5)
    assert single.transcripts == whole.transcripts
    errors = word_errors(training.dev_texts, whole.transcripts)
    assert sum(errors.values()) == round(whole.rates.wer * whole.rates.words)


def test_the_loss_is_that_of_each_utterance_alone():
    torch.manual_seed(0)
    log_probs = torch.randn(2, 9, 4).log_softmax(-1)
    lengths = torch.tensor([9, 6])
    both = ctc_loss(log_probs, lengths, [[1, 2, 3], [2, 2]])
    alone = ctc_loss(log_probs[1:, :6], lengths[1:], [[2, 2]])
    torch.testing.assert_close(both[1:], alone)


def test_what_is_not_a_checkpoint_is_refused(tmp_path):
    path = tmp_path / "x.safetensors"
    path.write_bytes(b"not a checkpoint")
    with pytest.raises(TrainingError, match="cannot be read as a safetensors checkpoint"):
        ReferenceRecogniser.load(path)


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
    watched = replace(training, folder=tmp_path / "watched", watchers=(spy, Spy()))
    watched.run()
    training.run()
    kept = rows(training.folder, "checkpoint")
    assert [(s, t, w) for s, (t, w, _) in spy.seen.items()] == [(r["step"], r["total"], r["dev_wer"]) for r in kept]
    last = spy.seen[kept[-1]["step"]][2]
    for name, weight in weights(training.folder).items():
        assert torch.equal(weight, last[name])
    assert numbers(watched.folder) == numbers(training.folder)
    assert all(row["watching_seconds"] >= 0 for row in rows(watched.folder, "checkpoint"))
    assert read_log(watched.folder)[-1]["step"] == read_log(training.folder)[-1]["step"]
