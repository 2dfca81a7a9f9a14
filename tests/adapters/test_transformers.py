"""The callback in transformers' Trainer, with a small wav2vec 2.0 on real speech."""

import builtins
import importlib
import sys

import pytest
import torch
from transformers import Trainer, TrainingArguments, Wav2Vec2Config, Wav2Vec2ForCTC, set_seed

from otoscope import CaptureError, capture, cka
from otoscope.adapters.transformers import SimilarityCallback, encoder_lengths
from otoscope.asr import CharacterTokens
from otoscope.watching import read_watch

LAYERS = ["wav2vec2.encoder.layers.0", "wav2vec2.encoder.layers.1"]


def small(tokens):
    set_seed(0)
    return Wav2Vec2ForCTC(
        Wav2Vec2Config(
            vocab_size=tokens,
            hidden_size=24,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=32,
            conv_dim=(16, 16, 16),
            conv_kernel=(10, 8, 4),
            conv_stride=(10, 8, 4),
            num_feat_extract_layers=3,
            num_conv_pos_embeddings=8,
            num_conv_pos_embedding_groups=2,
            feat_extract_norm="layer",
            layerdrop=0.1,
            mask_time_prob=0.3,
            mask_time_length=2,
        )
    )


@pytest.fixture(scope="module")
def data(spoken):
    audio, texts = spoken
    tokens = CharacterTokens.of(texts)
    rows = [(torch.tensor(a[:24_000]), torch.tensor(tokens.encode(t)[:8])) for a, t in zip(audio, texts, strict=True)]
    return len(tokens), rows[:12]


def together(rows):
    audio, targets = zip(*rows, strict=True)
    lengths = torch.tensor([len(a) for a in audio])
    values = torch.nn.utils.rnn.pad_sequence(audio, batch_first=True)
    mask = (torch.arange(values.shape[1]) < lengths[:, None]).long()
    labels = torch.nn.utils.rnn.pad_sequence(targets, batch_first=True, padding_value=-100)
    return {"input_values": values, "attention_mask": mask, "labels": labels}


@pytest.fixture(scope="module")
def probe(data):
    batch = together(data[1][:8])
    del batch["labels"]
    assert (batch["attention_mask"].sum(-1) < batch["input_values"].shape[1]).any(), "there is padding"
    return batch


def train(data, folder, *callbacks, resume=None, **settings):
    tokens, rows = data
    model = small(tokens)
    arguments = TrainingArguments(
        str(folder),
        **{
            "max_steps": 6,
            "per_device_train_batch_size": 4,
            "save_strategy": "steps",
            "save_steps": 2,
            "learning_rate": 3e-3,
            "report_to": "none",
            "use_cpu": True,
            "disable_tqdm": True,
            "logging_steps": 2,
            "dataloader_pin_memory": False,
            **settings,
        },
    )
    trainer = Trainer(model, arguments, data_collator=together, train_dataset=rows, callbacks=list(callbacks))
    trainer.train(resume_from_checkpoint=resume)
    return model


def measured(folder, probe):
    """The layers of a saved checkpoint, their true frames cut out by hand."""
    model = Wav2Vec2ForCTC.from_pretrained(folder).eval()
    with torch.no_grad(), capture(model, LAYERS) as captured:
        model(**probe)
        seen = captured.take()
    true = model._get_feat_extract_output_lengths(probe["attention_mask"].sum(-1)).tolist()
    return {name: torch.cat([x[:n] for x, n in zip(seen[name], true, strict=True)]) for name in LAYERS}, true


def test_rows_are_what_measuring_the_saved_checkpoints_gives(data, probe, tmp_path):
    callback = SimilarityCallback(tmp_path / "watch", probe, ["wav2vec2.encoder.layers.*"], budget=None, batch_size=8)
    train(data, tmp_path / "run", callback)
    about, *rows = read_watch(tmp_path / "watch")
    assert [row["step"] for row in rows] == [0, 2, 4, 6], "the start, each checkpoint, the end being one"
    assert [layer["name"] for layer in about["layers"]] == LAYERS
    assert rows[1]["training"]["loss"] > 0
    views = {step: measured(tmp_path / "run" / f"checkpoint-{step}", probe)[0] for step in (2, 4, 6)}
    lengths = measured(tmp_path / "run" / "checkpoint-2", probe)[1]
    for row in rows[1:]:
        assert row["frames"] == sum(lengths)
        found, now = row["measures"]["cka"], views[row["step"]]
        for i, x in enumerate(LAYERS):
            for j, y in enumerate(LAYERS):
                expected = float(cka(now[x], now[y], utterances=lengths))
                assert found["within"]["value"][i][j] == pytest.approx(expected, abs=1e-6)
            for column, step in enumerate(row["earlier"]):
                if step:  # nothing was saved at step 0
                    expected = float(cka(views[step][x], now[x], utterances=lengths))
                    assert found["to_final"]["value"][i][column] == pytest.approx(expected, abs=1e-6)


def test_weights_are_the_same_with_and_without(data, probe, tmp_path):
    """Layer drop, dropout and time masks draw from the generators of torch and numpy."""
    callback = SimilarityCallback(tmp_path / "watch", probe, LAYERS, budget=None, every=1)
    alone = train(data, tmp_path / "alone")
    watched = train(data, tmp_path / "watched", callback)
    assert [row["step"] for row in read_watch(tmp_path / "watch")[1:]] == list(range(7))
    for name, tensor in alone.state_dict().items():
        assert torch.equal(tensor, watched.state_dict()[name]), name
    assert not any(module._forward_hooks for module in watched.modules())


def test_a_training_that_goes_on_from_a_checkpoint_goes_on_in_the_same_log(data, probe, tmp_path):
    def callback(name):
        return SimilarityCallback(tmp_path / name, probe, LAYERS, budget=None)

    train(data, tmp_path / "whole", callback("whole-watch"))
    train(data, tmp_path / "run", callback("watch"), max_steps=5, lr_scheduler_type="constant")
    train(data, tmp_path / "run", callback("watch"), resume=str(tmp_path / "run" / "checkpoint-4"))
    rows = read_watch(tmp_path / "watch")
    assert [row["step"] for row in rows[1:]] == [0, 2, 4, 6], "that of step 5 is gone"
    assert rows[1]["measures"] == read_watch(tmp_path / "whole-watch")[1]["measures"]


def test_the_model_says_how_many_frames_its_encoder_has(data):
    model = small(data[0])
    lengths = torch.tensor([24_000, 16_000, 9_999])
    rule = encoder_lengths(model)
    for n, frames in zip(lengths.tolist(), rule(lengths).tolist(), strict=True):
        assert model.wav2vec2.feature_extractor(torch.zeros(1, n)).shape[-1] == frames
    assert encoder_lengths(torch.nn.Linear(2, 2)) is None


def test_layers_of_another_rate_are_refused_with_a_way_out(data, probe, tmp_path):
    callback = SimilarityCallback(tmp_path / "watch", probe, ["wav2vec2.feature_extractor.conv_layers.0"])
    with pytest.raises(CaptureError, match=r"conv_layers\.0 put out .*none of its axes can be that of its frames"):
        train(data, tmp_path / "run", callback)


def test_padded_inputs_alone_are_refused(data, probe, tmp_path):
    callback = SimilarityCallback(tmp_path / "watch", {"input_values": probe["input_values"]}, LAYERS)
    with pytest.raises(CaptureError, match="the probe set has no lengths"):
        train(data, tmp_path / "run", callback)


def test_without_transformers_the_message_says_what_to_install(monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name == "transformers":
            raise ModuleNotFoundError(f"No module named {name!r}")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    monkeypatch.delitem(sys.modules, "otoscope.adapters.transformers")
    with pytest.raises(ImportError, match=r"pip install 'otoscope\[transformers\]'"):
        importlib.import_module("otoscope.adapters.transformers")
