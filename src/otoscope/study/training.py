"""The training of a study's recognisers: several at a time, or one after another by all processes of `torchrun`."""

from __future__ import annotations

import json
import math
import shutil
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import torch

from otoscope.asr import FeatureStore, ReferenceRecogniser, Training, is_finished
from otoscope.asr.training.distributed import Group
from otoscope.engines import Failure, run_all
from otoscope.errors import OtoscopeError, StudyError
from otoscope.study.config import RecogniserConfig, StudyConfig
from otoscope.study.cost import TIMED_SECONDS, step_seconds
from otoscope.study.failing import failure_of, forget_failure, record_failure
from otoscope.study.folder import StudyFolder, read_json, write_json
from otoscope.study.following import Following
from otoscope.study.missing import Missing
from otoscope.study.preparation import Progress, Speech
from otoscope.study.runs import raise_failures, run_names
from otoscope.study.watched import spread, watched

__all__ = ["chosen_runs", "may_begin_anew", "train", "train_together", "training_of", "unfinished"]

POLL_SECONDS = 0.5


def chosen_runs(config: StudyConfig, asked: Sequence[str] = ()) -> list[str]:
    """The runs that are asked for, each by its name or by its recogniser's for all seeds; all where none is.

    Raises StudyError naming what the study does not have.

    >>> config = StudyConfig.default(recognisers=["cnn", "lstm"], seeds=[0, 1])
    >>> chosen_runs(config, ["lstm", "cnn/seed1"])
    ['cnn/seed1', 'lstm/seed0', 'lstm/seed1']
    """
    runs = run_names(config)
    if unknown := [name for name in asked if name not in runs and name not in config.recognisers]:
        raise StudyError(f"the study has no run {', '.join(unknown)}; its runs are {', '.join(runs)}")
    return [run for run, (name, _) in runs.items() if not asked or run in asked or name in asked]


def train(
    place: StudyFolder,
    config: StudyConfig,
    speech: Speech,
    store: FeatureStore,
    runs: Sequence[str],
    workers: int,
    show: Progress,
) -> list[Missing]:
    """Trains `runs`, which are not finished, in worker processes; those that take longest first.

    Returns those that failed, each told and recorded in its folder as soon as it did. The others go on.
    """
    if workers < len(runs):
        runs = _longest_first(runs, config, speech)
    utterances = spread(speech.probe) if config.watch else ()
    tasks = {run: (_train_one, (training_of(place, config, speech, store, run), utterances)) for run in runs}
    if not tasks:
        return []
    following = {run: Following(place.run(run)) for run in runs}
    missing: list[Missing] = []

    def failed(failure: Failure) -> None:
        missing.append(record_failure(place, failure.task, "training", failure.error))

    run_all(tasks, workers=workers, poll=lambda _done: _show(following, show), failed=failed)
    for run in runs:
        if run not in {m.run for m in missing} and not is_finished(place.run(run)):
            early = StudyError("it ended before its last checkpoint: run the same command again")
            missing.append(record_failure(place, run, "training", early))
    return missing


def train_together(
    place: StudyFolder,
    config: StudyConfig,
    speech: Speech,
    store: FeatureStore,
    runs: Sequence[str],
    group: Group,
    show: Progress,
) -> None:
    """Trains `runs` one after another, all processes of the group at the same one; the first error ends it.

    Every process calls it with the same arguments.
    """
    utterances = spread(speech.probe) if config.watch and group.first else ()
    with _showing({run: Following(place.run(run)) for run in runs}, show if group.first else None):
        for run in runs:
            try:
                _train_one(training_of(place, config, speech, store, run), utterances)
            except OtoscopeError as error:
                if group.first:
                    record_failure(place, run, "training", error)
                raise_failures([Failure(run, error)], "training", place)


def unfinished(place: StudyFolder, config: StudyConfig, runs: Sequence[str]) -> list[str]:
    """The runs that are left to train, after all are known to be what their folders were begun as."""
    names = run_names(config)
    for run in runs:
        name, seed = names[run]
        _claim_run(place.run(run), config.recognisers[name], seed)
    return [run for run in runs if not is_finished(place.run(run))]


def _longest_first(left: Sequence[str], config: StudyConfig, speech: Speech) -> list[str]:
    """The runs, those that take longest to train first, so that no worker is left with one at the end."""
    runs = run_names(config)
    seconds = {}
    for name in {runs[run][0] for run in left}:
        recogniser = config.recognisers[name]
        training = recogniser.train()
        with torch.random.fork_rng():
            timed = min(training.batch_seconds, TIMED_SECONDS)
            try:
                network = ReferenceRecogniser(recogniser.model(), speech.tokens[name], decoder=recogniser.attention())
                update, _ = step_seconds(network, timed)
            except (OtoscopeError, RuntimeError, ValueError):  # it will fail in a worker again, and be named there
                update = math.inf
        seconds[name] = update * training.epochs / timed
    return sorted(left, key=lambda run: -seconds[runs[run][0]])


def _claim_run(folder: Path, recogniser: RecogniserConfig, seed: int) -> None:
    """Writes what a run is, or checks that its folder was begun as the same: presets may differ between versions.

    One that failed, and is asked for with other settings now, is begun anew.
    """
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
    if known != asked and may_begin_anew(folder):
        shutil.rmtree(folder)
        write_json(path, asked)
    elif known != asked:
        changed = [f"{part}: {known[part]} there, {asked[part]} now" for part in asked if known[part] != asked[part]]
        raise StudyError(
            f"{folder} was begun with other settings, by another version of Otoscope perhaps ({'; '.join(changed)}). "
            "Choose another folder with --out, or write the settings out in a study.toml"
        )


def may_begin_anew(folder: Path) -> bool:
    """Whether nothing is lost where the run in this folder gets other settings: it failed, or was never begun."""
    return not (folder / "run.json").exists() or (failure_of(folder) is not None and not is_finished(folder))


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


def _train_one(training: Training, utterances: Sequence[str]) -> None:
    forget_failure(training.folder)
    with watched(training, utterances) as asked:
        asked.run()


def _show(following: Mapping[str, Following], show: Progress) -> None:
    for run, log in following.items():
        if (now := log.look()) is not None:
            show(f"training {run}, dev WER {now.dev_wer:.0%}", now.step, now.total)


@contextmanager
def _showing(following: Mapping[str, Following], show: Progress | None) -> Iterator[None]:
    """Shows how far runs are, about twice a second, while this process trains them itself."""
    if show is None:
        yield
        return
    ended = threading.Event()

    def watch_logs() -> None:
        while not ended.wait(POLL_SECONDS):
            _show(following, show)

    thread = threading.Thread(target=watch_logs, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        _show(following, show)
