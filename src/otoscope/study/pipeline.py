"""A study from beginning to end: speech, training, comparisons, results; every step picks up where a kill left it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from otoscope.asr import FeatureStore, ReferenceRecogniser, final_checkpoint, read_log
from otoscope.engines import run_all
from otoscope.errors import StudyError
from otoscope.files import write_text
from otoscope.study.config import StudyConfig
from otoscope.study.folder import StudyFolder, read_json
from otoscope.study.manifest import Manifest
from otoscope.study.measuring import plan_units, read_unit, run_unit
from otoscope.study.needs import LEVEL
from otoscope.study.preparation import Progress, Speech, build_features, load_speech
from otoscope.study.results import Results
from otoscope.study.rows import CheckpointRow, LayerRow
from otoscope.study.runs import checkpoints_of, raise_failures, run_names
from otoscope.study.scoring import score_test
from otoscope.study.training import train

__all__ = ["available_cores", "run_study", "train_recognisers"]


def available_cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


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
            path = final_checkpoint(place.run(run))
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
        train(place, config, speech, store, workers, show)
        score_test(place, config, speech, store, workers, show)
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


def _compare(
    place: StudyFolder, config: StudyConfig, speech: Speech, store: FeatureStore, workers: int, show: Progress
) -> Results:
    runs = {run: checkpoints_of(place, run) for run in run_names(config)}
    units = plan_units(runs, config.measures, samples=config.samples)
    tasks = {unit.name: (run_unit, (unit, store.path, speech.probe, place.measured, speech.clusters)) for unit in units}
    _, failures = run_all(tasks, workers=workers, poll=lambda done: show("comparing layers", done, len(tasks)))
    raise_failures(failures, "comparing", place)
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


def _checkpoint_rows(place: StudyFolder, run: str) -> list[CheckpointRow]:
    log = read_log(place.run(run))
    test = read_json(place.run(run) / "test.json")
    rows, losses = [], []
    for row in log:
        if row["kind"] == "step":
            losses.append(row["loss"])
            continue
        final = row is log[-1]
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
