"""The training of a study's recognisers, several at a time."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch

from otoscope.asr import FeatureStore, ReferenceRecogniser, Training, is_finished, read_log
from otoscope.engines import run_all
from otoscope.errors import StudyError
from otoscope.study.config import RecogniserConfig, StudyConfig
from otoscope.study.cost import step_seconds
from otoscope.study.folder import StudyFolder, read_json, write_json
from otoscope.study.preparation import Progress, Speech
from otoscope.study.runs import raise_failures, run_names

__all__ = ["train", "training_of"]


def train(
    place: StudyFolder, config: StudyConfig, speech: Speech, store: FeatureStore, workers: int, show: Progress
) -> None:
    """Trains every run that is not finished, those that take longest first."""
    tasks, runs = {}, run_names(config)
    for run, (name, seed) in runs.items():
        _claim_run(place.run(run), config.recognisers[name], seed)
        if not is_finished(place.run(run)):
            tasks[run] = (_train_one, (training_of(place, config, speech, store, run),))
    if workers < len(tasks):
        tasks = {run: tasks[run] for run in _longest_first(list(tasks), config, speech)}
    if tasks:
        _, failures = run_all(tasks, workers=workers, poll=lambda _done: _show_training(place, config, show))
        raise_failures(failures, "training", place)
    if short := [run for run in runs if not is_finished(place.run(run))]:
        raise StudyError(f"training of {', '.join(short)} ended before its last checkpoint: run the same command again")


def _longest_first(unfinished: Sequence[str], config: StudyConfig, speech: Speech) -> list[str]:
    """The runs, those that take longest to train first, so that no worker is left with one at the end."""
    runs = run_names(config)
    seconds = {}
    for name in {runs[run][0] for run in unfinished}:
        recogniser = config.recognisers[name]
        training = recogniser.train()
        with torch.random.fork_rng():
            update, _ = step_seconds(
                ReferenceRecogniser(recogniser.model(), speech.tokens[name]), training.batch_seconds
            )
        seconds[name] = update * training.epochs / training.batch_seconds
    return sorted(unfinished, key=lambda run: -seconds[runs[run][0]])


def _claim_run(folder: Path, recogniser: RecogniserConfig, seed: int) -> None:
    """Writes what a run is, or checks that its folder was begun as the same: presets may differ between versions."""
    path = folder / "run.json"
    there = read_json(path)
    parts = {"model": recogniser.model(), "training": recogniser.train(), "decoder": recogniser.attention()}
    asked = {name: None if part is None else asdict(part) for name, part in parts.items()}
    asked = json.loads(json.dumps({**asked, "pieces": recogniser.pieces, "seed": seed}))
    if there is None:
        write_json(path, asked)
        return
    # A setting that the folder does not know came with a later version, and was at its default before.
    known = {"decoder": None, "pieces": None, **there}
    for name, part in parts.items():
        if part is not None and known[name] is not None:
            known[name] = json.loads(json.dumps(asdict(type(part)()))) | known[name]
    if known != asked:
        changed = [f"{part}: {known[part]} there, {asked[part]} now" for part in asked if known[part] != asked[part]]
        raise StudyError(
            f"{folder} was begun with other settings, by another version of Otoscope perhaps ({'; '.join(changed)}). "
            "Choose another folder with --out, or write the settings out in a study.toml"
        )


def training_of(place: StudyFolder, config: StudyConfig, speech: Speech, store: FeatureStore, run: str) -> Training:
    """The training of one run."""
    name, seed = run_names(config)[run]
    asked = config.recognisers[name]
    return Training(
        folder=place.run(run),
        model=asked.model(),
        tokens=speech.tokens[name],
        store=store,
        train_texts=speech.texts("train"),
        dev_texts=speech.texts("dev"),
        config=asked.train(),
        seed=seed,
        decoder=asked.attention(),
    )


def _train_one(training: Training) -> None:
    training.run()


def _show_training(place: StudyFolder, config: StudyConfig, show: Progress) -> None:
    for run in run_names(config):
        rows = read_log(place.run(run))
        if rows:
            total = next(row["total"] for row in rows if row["kind"] == "checkpoint")
            wer = [row["dev_wer"] for row in rows if row["kind"] == "checkpoint"][-1]
            show(f"training {run}, dev WER {wer:.0%}", rows[-1]["step"], total)
