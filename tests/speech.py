"""Small studies on real speech, for the tests of training, studies and the command line."""

import csv
import gzip
from pathlib import Path

from otoscope import StudyConfig


def lay_out_subset(an4: Path, folder: Path, *, train: int = 48, test: int = 16) -> Path:
    """A corpus in the TSV layout with the first utterances of AN4's splits, audio linked, not copied."""
    folder.mkdir(parents=True)
    with (an4 / "transcripts.tsv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    # Every n-th, so that the few come from many speakers.
    chosen = []
    for split, count in (("train", train), ("test", test)):
        own = [row for row in rows if row["split"] == split]
        chosen += own[:: len(own) // count][:count]
    with (folder / "transcripts.tsv").open("w", encoding="utf-8") as file:
        file.write("\t".join(rows[0]) + "\n")
        file.writelines("\t".join(row.values()) + "\n" for row in chosen)
    for row in chosen:
        link = folder / row["path"]
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(an4 / row["path"])
    with gzip.open(folder / "alignments.tsv.gz", "wt", encoding="utf-8") as file:
        file.write("utt_id\tword_index\tword\tphone\tstart\tend\n")
    return folder


def tiny_study(corpus: Path, *, epochs: int = 2) -> StudyConfig:
    """A CNN, an LSTM and a Transformer that train in seconds."""
    training = {"epochs": epochs, "batch_seconds": 20.0, "checkpoints": 4, "speeds": [1.0, 1.1]}
    sizes = {
        "cnn": {"blocks": 2, "units": 24, "kernel": 5},
        "lstm": {"blocks": 2, "units": 16},
        "transformer": {"blocks": 2, "units": 24, "heads": 2, "feed_forward": 48},
    }
    return StudyConfig.of(
        title="tiny",
        corpus=str(corpus),
        recognisers={n: {"architecture": n, "settings": s, "training": training} for n, s in sizes.items()},
    )
