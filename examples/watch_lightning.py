"""Watching the layers of one's own recogniser while Lightning trains it.

    python examples/watch_lightning.py [CORPUS] [--epochs N] [--budget SHARE] [--out FOLDER]

CORPUS is any folder that `otoscope corpus check` can read; without it, a few minutes of the embedded corpus are made.
Needs the extras: pip install 'otoscope[lightning,tensorboard]'. Afterwards FOLDER has `watch.jsonl` and what
`tensorboard --logdir FOLDER/board` shows. Prints how alike each layer was to the final one at each checkpoint.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor, nn
from torch.utils.data import DataLoader

from otoscope import Corpus, check, default_corpus, load
from otoscope.adapters.lightning import SimilarityCallback
from otoscope.asr import CharacterTokens, log_mel, pad
from otoscope.corpora import read_audio
from otoscope.watching import read_watch, through_training


class Recogniser(pl.LightningModule):
    """Two convolutions of stride 2 and a stack of LSTMs, trained with CTC: nothing in it knows of Otoscope."""

    def __init__(self, tokens: int, units: int = 128) -> None:
        super().__init__()
        sizes = [(80, units), (units, units)]
        self.front = nn.ModuleList(nn.Conv1d(i, o, 3, stride=2, padding=1) for i, o in sizes)
        self.blocks = nn.ModuleList(nn.LSTM(units, units, batch_first=True) for _ in range(3))
        self.output = nn.Linear(units, tokens)

    def forward(self, features: Tensor) -> Tensor:
        """Padded features (batch, frames, 80) to log-probabilities (batch, ⌈frames / 4⌉, tokens)."""
        x = features.transpose(1, 2)
        for convolution in self.front:
            x = convolution(x).relu()
        x = x.transpose(1, 2)
        for lstm in self.blocks:
            x = lstm(x)[0]
        return self.output(x).log_softmax(-1)

    def training_step(self, batch: tuple[Tensor, Tensor, Tensor, Tensor], index: int) -> Tensor:
        """The CTC loss."""
        features, lengths, targets, sizes = batch
        loss = nn.functional.ctc_loss(self(features).transpose(0, 1), targets, (lengths + 3) // 4, sizes)
        self.log("loss", loss)
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """AdamW."""
        return torch.optim.AdamW(self.parameters(), 1e-3)


def together(rows: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """A padded batch: features and their lengths, targets and theirs."""
    return *pad([features for features, _ in rows]), *pad([target for _, target in rows])


def speech(path: str | None) -> Corpus:
    """Some speech with transcripts."""
    if path is None:
        return default_corpus(train_minutes=3.0, dev_minutes=0.5, test_minutes=0.5)
    return check(load(path))


def main() -> None:
    """Trains and watches."""
    parser = argparse.ArgumentParser()
    parser.add_argument("corpus", nargs="?")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument(
        "--budget", type=float, default=0.05, help="the most that watching may take of the training time"
    )
    parser.add_argument("--out", type=Path, default=Path("watched"))
    asked = parser.parse_args()

    corpus = speech(asked.corpus)
    train, test = corpus.split("train"), corpus.split("test")
    tokens = CharacterTokens.of(u.text for u in train)
    rows = [(log_mel(read_audio(u)), torch.tensor(tokens.encode(u.text))) for u in train]
    loader = DataLoader(rows, batch_size=16, shuffle=True, collate_fn=together)

    # The probe set: speech that is not trained on, as one padded batch with true lengths.
    probe, lengths = pad([log_mel(read_audio(u)) for u in list(test)[:24]])
    watch = SimilarityCallback(
        asked.out / "watch",
        probe,
        ["front.*", "blocks.*"],
        lengths=lengths,
        budget=asked.budget,
        tensorboard=asked.out / "board",
    )
    saving = ModelCheckpoint(asked.out / "checkpoints", every_n_epochs=1, save_top_k=-1, save_on_train_epoch_end=True)
    trainer = pl.Trainer(max_epochs=asked.epochs, callbacks=[watch, saving], logger=False, log_every_n_steps=1)
    trainer.fit(Recogniser(len(tokens)), loader)

    log = read_watch(asked.out / "watch")
    print("CKA of each layer with itself at the last checkpoint that was looked at, by step")
    print(through_training(log).isel(final=-1, step=slice(0, -1)).to_pandas().round(2).to_string())
    print(f"watching took {100 * log[-1]['overhead']['share']:.1f} % of the training time")


if __name__ == "__main__":
    main()
