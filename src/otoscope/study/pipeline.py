"""A study from beginning to end: speech, training, comparisons, results; every step picks up where a kill left it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from otoscope.asr import (
    CharacterTokens,
    FeatureStore,
    ModelConfig,
    ReferenceRecogniser,
    Training,
    TrainingConfig,
    evaluate,
    is_finished,
    read_log,
)
from otoscope.engines import Failure, run_all
from otoscope.errors import StudyError
from otoscope.files import file_hash, write_text
from otoscope.study.config import StudyConfig
from otoscope.study.cost import step_seconds
from otoscope.study.folder import StudyFolder, read_json, write_json
from otoscope.study.manifest import Manifest
from otoscope.study.measuring import Checkpoint, plan_units, read_unit, run_unit
from otoscope.study.needs import LEVEL
from otoscope.study.preparation import Progress, Speech, build_features, load_speech
from otoscope.study.results import Results
from otoscope.study.rows import CheckpointRow, LayerRow

__all__ = ["available_cores", "checkpoints_of", "run_names", "run_study", "train_recognisers"]


def available_cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_names(config: StudyConfig) -> dict[str, tuple[str, int]]:
    """Run name (`<recogniser>/seed<k>`) → recogniser and seed, in the order of the configuration."""
    return {f"{name}/seed{seed}": (name, seed) for name in config.recognisers for seed in config.seeds}


def run_study(
    config: StudyConfig,
    folder: Path,
    *,
    workers: int | None = None,
    command: Sequence[str] = (),
    progress: Progress | None = None,
) -> Results:
    """Runs a study in `folder`, or finishes one that was stopped there, and returns its results.

    `workers` processes of one thread each (default: the cores there are) train and compare; their number does not
    change a result. `progress` is called with what is being done, how much is done and how much there is. The folder
    afterwards holds `results.nc` and all that led to it; `otoscope.write_report` turns it into a report.

    Raises StudyError where the folder holds another study or is in use, CorpusError where the speech cannot be used,
    and StudyError naming the runs where training failed.
    """
    place = StudyFolder(folder)
    show = progress or _silent
    workers = workers or available_cores()
    with place.locked():
        manifest = Manifest.open(place, config, command)
        speech, store = _prepare_and_train(place, config, manifest, workers, show)
        with manifest.timed("comparing"):
            results = _compare(place, config, speech, store, workers, show)
            results.save(place.results)
        manifest.finish()
    return results


def train_recognisers(
    config: StudyConfig,
    folder: Path,
    *,
    workers: int | None = None,
    command: Sequence[str] = (),
    progress: Progress | None = None,
) -> dict[str, dict[str, Any]]:
    """The first half of `run_study`: trains every run and scores it on test, compares nothing.

    Returns run name → {"test_wer", "test_cer", "checkpoint"}. `run_study` on the same folder goes on from there.
    """
    place = StudyFolder(folder)
    with place.locked():
        manifest = Manifest.open(place, config, command)
        _prepare_and_train(place, config, manifest, workers or available_cores(), progress or _silent)
        manifest.finish()
        scores = {}
        for run in run_names(config):
            test = read_json(place.run(run) / "test.json")
            path = checkpoints_of(place, run)[-1].path
            scores[run] = {"test_wer": test["test_wer"], "test_cer": test["test_cer"], "checkpoint": str(path)}
    return scores


def _silent(_what: str, _done: int, _total: int) -> None:
    """Progress that nobody watches."""


def _prepare_and_train(
    place: StudyFolder, config: StudyConfig, manifest: Manifest, workers: int, show: Progress
) -> tuple[Speech, FeatureStore]:
    _claim(place, config)
    with manifest.timed("corpus"):
        speech = load_speech(config, show)
    manifest.speech(speech)
    with manifest.timed("features"):
        speeds = {s for r in config.recognisers.values() for s in r.train().speeds}
        store = build_features(speech, sorted(speeds), place.features, show)
    with manifest.timed("training"):
        _train(place, config, speech, store, workers, show)
        _score(place, config, speech, store, workers, show)
    manifest.recognisers(config, place)
    return speech, store


def _claim(place: StudyFolder, config: StudyConfig) -> None:
    """Writes `study.toml`, or checks that the one there asks for the same training."""
    if place.config.exists() and (changed := config.training_differences(StudyConfig.read(place.config))):
        raise StudyError(
            f"{place.path} holds another study: {', '.join(changed)} differ from what is asked now. Choose another "
            f"folder with --out, or run it as it was with --config {place.config}"
        )
    for left in place.path.rglob(".*.tmp"):  # by a process that was killed; nobody else writes while we hold the lock
        left.unlink(missing_ok=True)
    write_text(place.config, config.toml())


def _train(
    place: StudyFolder, config: StudyConfig, speech: Speech, store: FeatureStore, workers: int, show: Progress
) -> None:
    train, dev = speech.texts("train"), speech.texts("dev")
    tasks = {}
    runs = run_names(config)
    for run, (name, seed) in runs.items():
        model, training = config.recognisers[name].model(), config.recognisers[name].train()
        _claim_run(place.run(run), {"model": asdict(model), "training": asdict(training), "seed": seed})
        if not is_finished(place.run(run)):
            tasks[run] = (_train_one, (place.run(run), model, speech.tokens, store.path, train, dev, training, seed))
    if workers < len(tasks):
        tasks = {run: tasks[run] for run in _longest_first(list(tasks), config, speech)}
    if tasks:
        _, failures = run_all(tasks, workers=workers, poll=lambda _done: _show_training(place, config, show))
        _raise(failures, "training", place)
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
            update, _ = step_seconds(ReferenceRecogniser(recogniser.model(), speech.tokens), training.batch_seconds)
        seconds[name] = update * training.epochs / training.batch_seconds
    return sorted(unfinished, key=lambda run: -seconds[runs[run][0]])


def _claim_run(folder: Path, asked: dict[str, Any]) -> None:
    """Writes what a run is, or checks that its folder was begun as the same: presets may differ between versions."""
    path = folder / "run.json"
    there = read_json(path)
    asked = json.loads(json.dumps(asked))
    if there is None:
        write_json(path, asked)
    elif there != asked:
        changed = [
            f"{part}: {there.get(part)} there, {asked[part]} now" for part in asked if there.get(part) != asked[part]
        ]
        raise StudyError(
            f"{folder} was begun with other settings, by another version of Otoscope perhaps ({'; '.join(changed)}). "
            "Choose another folder with --out, or write the settings out in a study.toml"
        )


def _train_one(
    folder: Path,
    model: ModelConfig,
    tokens: CharacterTokens,
    store: Path,
    train: Mapping[str, str],
    dev: Mapping[str, str],
    config: TrainingConfig,
    seed: int,
) -> None:
    Training(folder, model, tokens, FeatureStore(store), train, dev, config, seed).run()


def _show_training(place: StudyFolder, config: StudyConfig, show: Progress) -> None:
    for run in run_names(config):
        rows = read_log(place.run(run))
        if rows:
            total = next(row["total"] for row in rows if row["kind"] == "checkpoint")
            wer = [row["dev_wer"] for row in rows if row["kind"] == "checkpoint"][-1]
            show(f"training {run}, dev WER {wer:.0%}", rows[-1]["step"], total)


def _score(
    place: StudyFolder, config: StudyConfig, speech: Speech, store: FeatureStore, workers: int, show: Progress
) -> None:
    """Scores each run's final checkpoint on test, once."""
    test = speech.texts("test")
    tasks: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {}
    for run in run_names(config):
        last = checkpoints_of(place, run)[-1].path
        scored = read_json(place.run(run) / "test.json")
        if scored is None or scored["weights"] != file_hash(last):
            tasks[run] = (_score_one, (place.run(run), last, store.path, test))
    if tasks:
        _, failures = run_all(tasks, workers=workers, poll=lambda done: show("scoring test", done, len(tasks)))
        _raise(failures, "scoring", place)


def _score_one(folder: Path, checkpoint: Path, store: Path, test: Mapping[str, str]) -> None:
    rates, loss, transcripts = evaluate(ReferenceRecogniser.load(checkpoint), FeatureStore(store), test)
    write_json(
        folder / "test.json",
        {
            "checkpoint": checkpoint.name,
            "weights": file_hash(checkpoint),
            "test_wer": rates.wer,
            "test_cer": rates.cer,
            "test_loss": loss,
            "words": rates.words,
            "utterances": rates.utterances,
            "transcripts": transcripts,
        },
    )


def _compare(
    place: StudyFolder, config: StudyConfig, speech: Speech, store: FeatureStore, workers: int, show: Progress
) -> Results:
    runs = {run: checkpoints_of(place, run) for run in run_names(config)}
    units = plan_units(runs, config.measures, samples=config.samples)
    tasks = {unit.name: (run_unit, (unit, store.path, speech.probe, place.measured, speech.clusters)) for unit in units}
    _, failures = run_all(tasks, workers=workers, poll=lambda done: show("comparing layers", done, len(tasks)))
    _raise(failures, "comparing", place)
    measured = [read_unit(unit, place.measured) for unit in units]
    about = read_json(place.manifest)
    return Results.from_rows(
        [c for m in measured for c in m.comparisons],
        [row for run in runs for row in _checkpoint_rows(place, run)],
        [
            LayerRow(run, layer.name, layer.units, layer.stride, layer.kind)
            for run, checkpoints in runs.items()
            for layer in ReferenceRecogniser.load(checkpoints[-1].path).layers()
        ],
        measures=config.measures,
        refusals=[r for m in measured for r in m.refusals],
        no_intervals=[r for m in measured for r in m.no_intervals],
        intervals=f"{100 * LEVEL:.0f} %, jackknife over blocks of {speech.clusters.kind}" if speech.clusters else "",
        sample_frames=measured[0].sampled[0],
        sample_utterances=measured[0].sampled[1],
        title=config.title,
        frames=measured[0].frames,
        utterances=measured[0].utterances,
        grid=measured[0].grid,
        corpus=speech.corpus.name,
        corpus_hash=speech.hash,
        probe_split=" + ".join(config.probe.splits),
        host=about["host"]["machine"],
        versions=about["versions"],
    )


def checkpoints_of(place: StudyFolder, run: str) -> list[Checkpoint]:
    """The checkpoints of a run that its log knows of, in order of steps."""
    steps = [row["step"] for row in read_log(place.run(run)) if row["kind"] == "checkpoint"]
    return [Checkpoint(run, step, place.run(run) / "checkpoints" / f"step-{step:06d}.safetensors") for step in steps]


def _checkpoint_rows(place: StudyFolder, run: str) -> list[CheckpointRow]:
    log = read_log(place.run(run))
    test = read_json(place.run(run) / "test.json")
    rows, losses = [], []
    for row in log:
        if row["kind"] == "step":
            losses.append(row["loss"])
            continue
        final = row["step"] == row["total"]
        rows.append(
            CheckpointRow(
                run,
                row["step"],
                epoch=row["epoch"],
                seconds=row["seconds"],
                train_loss=sum(losses) / len(losses) if losses else float("nan"),
                dev_loss=row["dev_loss"],
                dev_wer=row["dev_wer"],
                dev_cer=row["dev_cer"],
                test_wer=test["test_wer"] if final else float("nan"),
                test_cer=test["test_cer"] if final else float("nan"),
            )
        )
        losses = []
    return rows


def _raise(failures: Sequence[Failure], doing: str, place: StudyFolder) -> None:
    if not failures:
        return
    kept = f"What is finished stays in {place.path}: run the same command again to go on"
    if all(isinstance(f.error, BrokenProcessPool) for f in failures):
        raise StudyError(
            f"{doing} stopped because a worker process died, most often for want of memory: fewer workers need less. "
            'A script of your own that calls run_study must do so under `if __name__ == "__main__":`, since workers '
            f"import it. {kept}"
        ) from failures[0].error
    named = "\n  ".join(f"{f.task}: {type(f.error).__name__}: {f.error}" for f in failures)
    raise StudyError(f"{doing} failed for {len(failures)}:\n  {named}\n{kept}") from failures[0].error
