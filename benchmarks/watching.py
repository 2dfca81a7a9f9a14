"""What watching costs: one training on AN4 with a watch and one without, in turn, in one run.

    python benchmarks/watching.py [CORPUS] [--architecture NAME] [--epochs N] [--measures NAME …]

Both trainings have the same seed, so the weights at the end must be equal to the bit; the script stops where they are
not. Prints a table for docs/results.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch

from otoscope import check, load
from otoscope.asr import PRESETS, CharacterTokens, FeatureStore, ReferenceRecogniser, Training, TrainingConfig, pad
from otoscope.corpora import read_audio
from otoscope.watching import SimilarityWatch, read_watch

AN4 = Path(__file__).parents[2] / "shared" / "corpora" / "an4"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("corpus", nargs="?", default=str(AN4))
    parser.add_argument("--architecture", default="cnn", choices=list(PRESETS))
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--checkpoints", type=int, default=14)
    parser.add_argument("--measures", nargs="+", default=["cka"])
    asked = parser.parse_args()

    corpus = check(load(asked.corpus))
    texts = {split: {u.id: u.text for u in corpus.split(split)} for split in ("train", "test")}
    by_id = {u.id: u for u in corpus}
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        wanted = [(u.id, 1.0) for u in corpus]
        store = FeatureStore.build(folder, wanted, lambda u: read_audio(by_id[u]), corpus_hash=corpus.hash())
        config = TrainingConfig(epochs=asked.epochs, checkpoints=asked.checkpoints, speeds=(1.0,))
        dev = dict(list(texts["test"].items())[::4])
        alone = Training(
            folder / "alone",
            PRESETS[asked.architecture]["small"].model,
            CharacterTokens.of(texts["train"].values()),
            store,
            texts["train"],
            dev,
            config,
        )
        probe = [pad([store.get(u) for u in list(texts["test"])[i : i + 8]]) for i in (1, 31, 61)]
        watch = SimilarityWatch(folder / "watch", probe, measures=asked.measures, tensorboard=folder / "board")
        seconds = {}
        for run in (alone, replace(alone, folder=folder / "watched", watchers=[watch])):
            began = time.perf_counter()
            run.run()
            seconds[run.folder.name] = time.perf_counter() - began
        ends = [max((folder / name / "checkpoints").iterdir()) for name in seconds]
        first, second = (ReferenceRecogniser.load(end).module.state_dict() for end in ends)
        if any(not torch.equal(first[name], second[name]) for name in first):
            raise SystemExit("the weights differ with and without the watch")
        about, *rows = read_watch(folder / "watch")

    share = rows[-1]["overhead"]["share"]
    whole = sum(row["kind"] == "checkpoint" and not row["left_out"] for row in rows)
    print("| recogniser | layers | probe utterances | checkpoints, compared in full | alone s | watched s | share |")
    print("|---|---|---|---|---|---|---|")
    print(
        f"| {asked.architecture} | {len(about['layers'])} | {about['utterances']} | {len(rows)}, {whole} | "
        f"{seconds['alone']:.1f} | {seconds['watched']:.1f} | {100 * share:.2f} % |"
    )


if __name__ == "__main__":
    main()
