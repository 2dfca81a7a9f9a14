"""The callback in Lightning's Trainer, on real speech: the right numbers, and a training that goes on undisturbed."""

import builtins
import importlib
import sys

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import nn

from otoscope import CaptureError, capture, cka
from otoscope.adapters.lightning import SimilarityCallback
from otoscope.asr import CharacterTokens, log_mel, pad
from otoscope.watching import read_watch

# What Lightning says of few workers, of no logger and of checkpoints is for users, not for tests.
pytestmark = [
    pytest.mark.filterwarnings("ignore::UserWarning:lightning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:lightning"),
    pytest.mark.filterwarnings("ignore::FutureWarning:lightning"),
]
LAYERS = ["front", "rnn"]


class Tiny(pl.LightningModule):
    """A convolution of stride 2 with batch normalisation, dropout and a GRU, trained with CTC."""

    def __init__(self, tokens):
        super().__init__()
        self.tokens = tokens
        self.front, self.norm = nn.Conv1d(80, 24, 3, stride=2, padding=1), nn.BatchNorm1d(24)
        self.dropout, self.rnn = nn.Dropout(0.3), nn.GRU(24, 16, batch_first=True)
        self.output = nn.Linear(16, len(tokens))

    def forward(self, features):
        x = self.norm(self.front(features.transpose(1, 2)).relu()).transpose(1, 2)
        return self.output(self.rnn(self.dropout(x))[0]).log_softmax(-1)

    def training_step(self, batch, batch_idx):
        features, lengths, targets, sizes = batch
        loss = nn.functional.ctc_loss(self(features).transpose(0, 1), targets, (lengths + 1) // 2, sizes)
        self.log("loss", loss)
        return loss

    validation_step = training_step

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), 1e-2)


@pytest.fixture(scope="module")
def data(spoken):
    audio, texts = spoken
    tokens = CharacterTokens.of(texts)
    return tokens, [(log_mel(a), torch.tensor(tokens.encode(t))) for a, t in zip(audio, texts, strict=True)]


@pytest.fixture(scope="module")
def probe(data):
    return pad([features for features, _ in data[1][:10]])


def together(rows):
    features, lengths = pad([features for features, _ in rows])
    targets, sizes = pad([target for _, target in rows])
    return features, lengths, targets, sizes


def fit(data, folder, *callbacks, **settings):
    """Trains for 2 epochs of 4 steps, with a checkpoint after every third step."""
    tokens, rows = data
    pl.seed_everything(0, verbose=False)
    model = Tiny(tokens)
    loader = torch.utils.data.DataLoader(rows, batch_size=6, shuffle=True, collate_fn=together)
    saving = ModelCheckpoint(folder, filename="{step}", every_n_train_steps=3, save_top_k=-1)
    trainer = pl.Trainer(
        **{
            "max_epochs": 2,
            "accelerator": "cpu",
            "logger": False,
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "callbacks": [*callbacks, saving],
            **settings,
        }
    )
    trainer.fit(model, loader, loader)
    return trainer, model


def measured(weights, data, probe):
    """The layers of saved weights, their true frames cut out by hand."""
    model = Tiny(data[0])
    model.load_state_dict(weights)
    model.eval()
    with torch.no_grad(), capture(model, LAYERS) as captured:
        model(probe[0])
        seen = captured.take()
    true = [(n + 1) // 2 for n in probe[1].tolist()]
    rows = {"front": seen["front"].transpose(1, 2), "rnn": seen["rnn"]}
    return {name: torch.cat([x[:n] for x, n in zip(rows[name], true, strict=True)]) for name in LAYERS}, true


def test_rows_are_what_measuring_the_saved_checkpoints_gives(data, probe, tmp_path):
    callback = SimilarityCallback(tmp_path / "watch", probe[0], LAYERS, lengths=probe[1], budget=None, batch_size=4)
    trainer, model = fit(data, tmp_path / "saved", callback)
    about, *rows = read_watch(tmp_path / "watch")
    assert [row["step"] for row in rows] == [0, 3, 6, 8], "the start, each checkpoint, the end"
    assert {row["total"] for row in rows} == {8}
    assert [(layer["name"], layer["units"], layer["stride"]) for layer in about["layers"]] == [
        ("front", 24, 2),
        ("rnn", 16, 2),
    ]
    assert rows[-1]["training"]["loss"] == pytest.approx(float(trainer.callback_metrics["loss"]))
    saved = {s: torch.load(tmp_path / "saved" / f"step={s}.ckpt", weights_only=True)["state_dict"] for s in (3, 6)}
    views = {s: measured(w, data, probe)[0] for s, w in {**saved, 8: model.state_dict()}.items()}
    lengths = measured(saved[3], data, probe)[1]
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
    callback = SimilarityCallback(
        tmp_path / "watch", probe[0], LAYERS, lengths=probe[1], budget=None, every=1, tensorboard=tmp_path / "board"
    )
    _, alone = fit(data, tmp_path / "alone")
    _, watched = fit(data, tmp_path / "watched", callback)
    assert len(read_watch(tmp_path / "watch")) == 1 + 9
    for name, tensor in alone.state_dict().items():
        assert torch.equal(tensor, watched.state_dict()[name]), name
    assert not any(module._forward_hooks for module in watched.modules())
    assert list((tmp_path / "board").iterdir())


def test_a_training_that_goes_on_from_a_checkpoint_goes_on_in_the_same_log(data, probe, tmp_path):
    def callback(name):
        return SimilarityCallback(tmp_path / name, probe[0], LAYERS, lengths=probe[1], budget=None)

    fit(data, tmp_path / "whole", callback("whole-watch"))
    fit(data, tmp_path / "part", callback("watch"), max_steps=7, max_epochs=-1)
    tokens, rows = data
    loader = torch.utils.data.DataLoader(rows, batch_size=6, collate_fn=together)
    saving = ModelCheckpoint(tmp_path / "more", filename="{step}", every_n_train_steps=3, save_top_k=-1)
    trainer = pl.Trainer(
        max_steps=9,
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[callback("watch"), saving],
    )
    trainer.fit(Tiny(tokens), loader, loader, ckpt_path=tmp_path / "part" / "step=6.ckpt", weights_only=True)
    whole, again = read_watch(tmp_path / "whole-watch"), read_watch(tmp_path / "watch")
    assert [row["step"] for row in again[1:]] == [0, 3, 6, 9]
    for before, after in zip(whole[1:4], again[1:4], strict=True):
        assert before["measures"] == after["measures"], "the rows of step 7 are gone, that of step 6 came again"


def test_a_checkpoint_saved_by_validation_is_looked_at(data, probe, tmp_path):
    """Which Lightning does in inference mode, with the model in eval mode."""
    callback = SimilarityCallback(tmp_path / "watch", probe[0], LAYERS, lengths=probe[1], budget=None)
    _, alone = fit(data, tmp_path / "alone", ModelCheckpoint(tmp_path / "a", every_n_epochs=1, save_top_k=-1))
    _, watched = fit(
        data, tmp_path / "saved", callback, ModelCheckpoint(tmp_path / "b", every_n_epochs=1, save_top_k=-1)
    )
    assert [row["step"] for row in read_watch(tmp_path / "watch")[1:]] == [0, 3, 4, 6, 8]
    for name, tensor in alone.state_dict().items():
        assert torch.equal(tensor, watched.state_dict()[name]), name


def test_layers_that_are_not_there_stop_the_training_before_it_begins(data, probe, tmp_path):
    callback = SimilarityCallback(tmp_path / "watch", probe[0], ["encoder.*"], lengths=probe[1])
    with pytest.raises(CaptureError, match=r"no layer matches 'encoder\.\*'"):
        fit(data, tmp_path / "saved", callback)
    assert not (tmp_path / "saved").exists()


def test_without_lightning_the_message_says_what_to_install(monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.split(".")[0] == "lightning":
            raise ModuleNotFoundError(f"No module named {name!r}")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    monkeypatch.delitem(sys.modules, "otoscope.adapters.lightning")
    with pytest.raises(ImportError, match=r"pip install 'otoscope\[lightning\]'"):
        importlib.import_module("otoscope.adapters.lightning")
