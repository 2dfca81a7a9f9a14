"""What `torchrun` runs in the test of two processes: a training that works, and one that one utterance stops."""

import json
import sys
from pathlib import Path

from otoscope import TrainingError
from otoscope.asr import FeatureStore, ReferenceRecogniser, Training, TrainingConfig
from otoscope.asr.training.distributed import one_first


def main(job: Path) -> None:
    asked = json.loads(job.read_text())
    start = ReferenceRecogniser.load(Path(asked["start"]))
    config = TrainingConfig(**asked["config"])
    with one_first(config.device) as group, job.with_suffix(".order").open("a") as order:
        order.write(f"{group.rank}/{group.count} ")

    def train(folder: str, texts: dict[str, str]) -> None:
        store = FeatureStore(Path(asked["store"]))
        Training(job.parent / folder, start.config, start.tokens, store, texts, asked["dev"], config).run()

    train("two", asked["train"])
    bad = next(iter(asked["train"]))
    try:
        train("bad", {**asked["train"], bad: asked["train"][bad] * 60})
    except TrainingError as error:
        job.with_suffix(f".error{group.rank}").write_text(f"{bad}\n{error}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
