"""Trainings in miniature by other people's means, each with several checkpoints on the disk."""

from pathlib import Path

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import nn
from transformers import (
    Trainer,
    TrainingArguments,
    Wav2Vec2Config,
    Wav2Vec2CTCTokenizer,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2ForCTC,
    Wav2Vec2Processor,
    set_seed,
)

from otoscope import Batch, Layer, TorchRecogniser
from otoscope.asr import log_mel, pad


class Net(nn.Module):
    """A convolution of stride 2 and two GRUs over log-mel features."""

    def __init__(self):
        super().__init__()
        self.front = nn.Conv1d(80, 16, 3, stride=2, padding=1)
        self.rnns = nn.ModuleList(nn.GRU(16, 16, batch_first=True) for _ in range(2))
        self.output = nn.Linear(16, 8)
        self.register_buffer("scale", torch.full((1,), 0.5), persistent=False)  # in no state dict

    def forward(self, features):
        x = self.front(self.scale * features.transpose(1, 2)).relu().transpose(1, 2)
        for rnn in self.rnns:
            x = rnn(x)[0]
        return self.output(x)


class NetRecogniser(TorchRecogniser):
    """The net as somebody would make it a recogniser."""

    frame_shift = 0.01

    def __init__(self):
        self.module = Net()

    def prepare(self, speech):
        return Batch(*pad([log_mel(one.audio) for one in speech]))

    def forward(self, inputs, lengths):
        return self.module(inputs)

    def layers(self):
        return [Layer("front", 16, 0.02, 2, "convolution"), *(Layer(f"rnns.{i}", 16, 0.02, 1, "gru") for i in range(2))]


class Trained(pl.LightningModule):
    """The net in Lightning: its weights are called model.… there."""

    def __init__(self, learning_rate=1e-2, **settings):
        super().__init__()
        self.save_hyperparameters()
        self.model = Net()

    def training_step(self, batch, batch_idx):
        features, targets = batch
        return nn.functional.mse_loss(self.model(features).mean(1), targets)

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), self.hparams.learning_rate)


def toy_data(count=8):
    """Features and targets: what is learned does not matter, that weights move does."""
    generator = torch.Generator().manual_seed(0)
    return [(torch.randn(40, 80, generator=generator), torch.randn(8, generator=generator)) for _ in range(count)]


def lightning_training(folder: Path, **settings) -> Trained:
    """Six steps, a checkpoint after every second, and a copy of the last."""
    pl.seed_everything(0, verbose=False)
    model = Trained(**settings)
    saving = ModelCheckpoint(folder, every_n_train_steps=2, save_top_k=-1, save_last=True)
    trainer = pl.Trainer(
        max_steps=6,
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[saving],
    )
    trainer.fit(model, torch.utils.data.DataLoader(toy_data(), batch_size=2))
    return model


def plain_training(folder: Path, name: str = "model_{step:06d}.pt", wrap=lambda weights: weights) -> dict[int, Net]:
    """Steps of plain torch; state dicts as they come out of `wrap`, after 0, 2 and 4 of them."""
    torch.manual_seed(0)
    net, kept = Net(), {}
    optimiser = torch.optim.SGD(net.parameters(), 0.5)
    features, targets = map(torch.stack, zip(*toy_data(), strict=True))
    for step in range(5):
        if step % 2 == 0:
            torch.save(wrap(net.state_dict()), folder / name.format(step=step))
            kept[step] = Net()
            kept[step].load_state_dict(net.state_dict())
        optimiser.zero_grad()
        nn.functional.mse_loss(net(features).mean(1), targets).backward()
        optimiser.step()
    return kept


def wav2vec() -> Wav2Vec2ForCTC:
    """A small wav2vec 2.0 with random weights."""
    set_seed(0)
    return Wav2Vec2ForCTC(
        Wav2Vec2Config(
            vocab_size=5,
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
            do_stable_layer_norm=True,
            mask_time_prob=0.0,
            layerdrop=0.0,
        )
    )


def processor(folder: Path) -> Wav2Vec2Processor:
    """Its feature extractor and a tokeniser of three letters."""
    vocabulary = folder / "vocab.json"
    vocabulary.write_text('{"<pad>": 0, "|": 1, "a": 2, "b": 3, "<unk>": 4}')
    tokeniser = Wav2Vec2CTCTokenizer(str(vocabulary), pad_token="<pad>", unk_token="<unk>", word_delimiter_token="|")
    return Wav2Vec2Processor(Wav2Vec2FeatureExtractor(return_attention_mask=True), tokeniser)


def transformers_training(folder: Path, *, processors: bool = True, wer=0.5) -> dict[int, Wav2Vec2ForCTC]:
    """Thirty steps of a small wav2vec 2.0 in transformers' Trainer, saved and scored after every tenth.

    Without `processors` it is trained as many scripts do, and checkpoints lack the feature extractor.
    """
    generator = torch.Generator().manual_seed(0)
    rows = [{"input_values": torch.randn(6_400, generator=generator), "labels": torch.tensor([2, 3])} for _ in range(4)]
    made = processor(folder)
    trainer = Trainer(
        wav2vec(),
        TrainingArguments(
            str(folder),
            max_steps=30,
            save_steps=10,
            eval_steps=10,
            eval_strategy="steps",
            logging_steps=5,
            learning_rate=1e-2,
            per_device_train_batch_size=2,
            report_to="none",
            use_cpu=True,
            disable_tqdm=True,
            dataloader_pin_memory=False,
        ),
        train_dataset=rows,
        eval_dataset=rows,
        processing_class=made if processors else None,
        data_collator=lambda rows: {name: torch.stack([row[name] for row in rows]) for name in rows[0]},
        compute_metrics=lambda _: {"wer": wer},
    )
    trainer.train()
    (folder / "vocab.json").unlink()
    return {step: Wav2Vec2ForCTC.from_pretrained(folder / f"checkpoint-{step}") for step in (10, 20, 30)}
