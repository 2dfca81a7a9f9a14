"""Watching the layers of a wav2vec 2.0 while the Trainer of transformers trains it.

    python examples/watch_transformers.py [CORPUS] [--model NAME] [--steps N] [--budget SHARE] [--out FOLDER]

CORPUS is any folder that `otoscope corpus check` can read; without it, a few minutes of the embedded corpus are made.
NAME is a model with a CTC head on the hub or a folder, such as facebook/wav2vec2-base; without it, a small one with
random weights is trained, and nothing is downloaded. Needs the extras:
pip install 'otoscope[transformers,tensorboard]'. Prints how alike each layer was to the final one at each checkpoint.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import (
    AutoModelForCTC,
    PreTrainedModel,
    Trainer,
    TrainingArguments,
    Wav2Vec2Config,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2ForCTC,
)

from otoscope import Corpus, check, default_corpus, load
from otoscope.adapters.transformers import SimilarityCallback
from otoscope.asr import CharacterTokens
from otoscope.corpora import SAMPLE_RATE_HZ, read_audio
from otoscope.watching import read_watch, through_training


def model_of(name: str | None, tokens: int) -> PreTrainedModel:
    """A pretrained model with a fresh output layer, or a small one."""
    if name is not None:
        return AutoModelForCTC.from_pretrained(name, vocab_size=tokens, ctc_loss_reduction="mean")
    sizes = {"hidden_size": 64, "num_hidden_layers": 4, "num_attention_heads": 4, "intermediate_size": 128}
    front = {"conv_dim": (64,) * 7, "feat_extract_norm": "layer", "num_conv_pos_embeddings": 16}
    return Wav2Vec2ForCTC(Wav2Vec2Config(vocab_size=tokens, ctc_loss_reduction="mean", **sizes, **front))


def speech(path: str | None) -> Corpus:
    """Some speech with transcripts."""
    if path is None:
        return default_corpus(train_minutes=3.0, dev_minutes=0.5, test_minutes=0.5)
    return check(load(path))


def main() -> None:
    """Trains and watches."""
    parser = argparse.ArgumentParser()
    parser.add_argument("corpus", nargs="?")
    parser.add_argument("--model")
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument(
        "--budget", type=float, default=0.05, help="the most that watching may take of the training time"
    )
    parser.add_argument("--out", type=Path, default=Path("watched"))
    asked = parser.parse_args()

    corpus = speech(asked.corpus)
    tokens = CharacterTokens.of(u.text for u in corpus.split("train"))
    extractor = Wav2Vec2FeatureExtractor(return_attention_mask=True, sampling_rate=SAMPLE_RATE_HZ)

    def padded(audio: list[Any]) -> dict[str, Tensor]:
        return dict(extractor(audio, padding=True, return_tensors="pt", sampling_rate=SAMPLE_RATE_HZ))

    def together(rows: list[dict[str, Any]]) -> dict[str, Tensor]:
        targets = [torch.tensor(tokens.encode(row["text"])) for row in rows]
        labels = torch.nn.utils.rnn.pad_sequence(targets, batch_first=True, padding_value=-100)
        return {**padded([row["audio"] for row in rows]), "labels": labels}

    # The probe set: speech that is not trained on, padded, with the attention mask that tells the true lengths.
    probe = padded([read_audio(u) for u in list(corpus.split("test"))[:16]])
    model = model_of(asked.model, len(tokens))
    watch = SimilarityCallback(
        asked.out / "watch",
        probe,
        [f"{model.base_model_prefix}.encoder.layers.*"],
        budget=asked.budget,
        tensorboard=asked.out / "board",
    )
    arguments = TrainingArguments(
        str(asked.out / "checkpoints"),
        max_steps=asked.steps,
        per_device_train_batch_size=8,
        learning_rate=1e-4 if asked.model else 1e-3,
        warmup_steps=asked.steps // 10,
        save_steps=max(1, asked.steps // 6),
        logging_steps=max(1, asked.steps // 6),
        remove_unused_columns=False,
        report_to="none",
    )
    rows = [{"audio": read_audio(u), "text": u.text} for u in corpus.split("train")]
    Trainer(model, arguments, data_collator=together, train_dataset=rows, callbacks=[watch]).train()

    log = read_watch(asked.out / "watch")
    print("CKA of each layer with itself at the last checkpoint that was looked at, by step")
    print(through_training(log).isel(final=-1, step=slice(0, -1)).to_pandas().round(2).to_string())
    print(f"watching took {100 * log[-1]['overhead']['share']:.1f} % of the training time")


if __name__ == "__main__":
    main()
