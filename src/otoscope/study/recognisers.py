"""The first half of a study: speech and features prepared, recognisers trained and scored; nothing is compared."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from otoscope.asr import FeatureStore, final_checkpoint, read_log
from otoscope.asr.training.distributed import Group, join
from otoscope.errors import OtoscopeError, StudyError
from otoscope.files import write_text
from otoscope.study.config import StudyConfig
from otoscope.study.failing import raise_missing, without
from otoscope.study.folder import StudyFolder, read_json
from otoscope.study.manifest import Manifest, without_transcripts
from otoscope.study.missing import Missing
from otoscope.study.preparation import Progress, Speech, build_features, load_speech
from otoscope.study.scoring import score_runs
from otoscope.study.training import chosen_runs, may_begin_anew, train, train_together, unfinished

__all__ = ["available_cores", "launched", "prepare", "silent", "train_recognisers"]


def available_cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def launched() -> bool:
    """Whether `torchrun` has started this process with others."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def silent(_what: str, _done: int, _total: int) -> None:
    """Progress that nobody watches."""


def train_recognisers(
    config: StudyConfig,
    folder: Path,
    *,
    runs: Sequence[str] = (),
    workers: int | None = None,
    command: Sequence[str] = (),
    progress: Progress | None = None,
) -> dict[str, dict[str, Any]]:
    """The first half of `run_study`: trains runs and scores them on test, compares nothing.

    `run_study` on the same folder goes on from there. Under `torchrun`, all processes call it alike and train one run
    after another together; process 0 prepares the speech, holds the folder, writes and scores.

    Arguments:
        config: the study.
        folder: its folder.
        runs: which to train, by name (`cnn/seed0`) or by recogniser, for all its seeds; all where none is named.
        workers: processes of one thread each (default: the cores there are). Under `torchrun` they only score.
        command: what the manifest is to say was typed.
        progress: called with what is being done, how much is done and how much there is.

    Returns:
        Run name → {"dev_wer", "test_wer", "test_cer", "checkpoint"}, all of the final model, and "ngram" and
        "attention" where test was decoded so; {"failure"}, the reason, for a run that failed. Nothing in processes
        other than 0.

    Raises:
        StudyError: the folder holds another study or is in use, a run is not one of the study's, or all failed.
        CorpusError: the speech cannot be used.
    """
    place = StudyFolder(folder)
    chosen = chosen_runs(config, runs)
    group = join(_device(config, chosen)) if launched() else Group()
    if group.first:
        return _first_process(place, config, chosen, workers or available_cores(), command, progress or silent, group)
    prepared: Any = group.agree(None)  # what process 0 sends, or nothing where it ends with an error
    if prepared is not None:
        speech, store, left = prepared
        train_together(place, config, speech, store, left, group, silent)
        group.agree(None)  # while process 0 scores
    return {}


def _first_process(
    place: StudyFolder,
    config: StudyConfig,
    runs: Sequence[str],
    workers: int,
    command: Sequence[str],
    show: Progress,
    group: Group,
) -> dict[str, dict[str, Any]]:
    """What the only process, or process 0 of several, does."""
    with ExitStack() as held:
        with _others_waiting(group):
            held.enter_context(place.locked())
            manifest = Manifest.open(place, config, command)
            speech, store = prepare(place, config, manifest, show)
            left = unfinished(place, config, runs)
        missing: list[Missing] = []
        with manifest.timed("training"):
            if group.count > 1:
                group.agree((speech, store, left))
                train_together(place, config, speech, store, left, group, show)
            else:
                missing += train(place, config, speech, store, left, workers, show)
            with _others_waiting(group):
                missing += score_runs(place, config, speech, store, without(runs, missing), workers, show)
        manifest.recognisers(config, place, [m.run for m in missing])
        with _others_waiting(group):
            if not without(runs, missing):
                raise_missing(missing, place)
        manifest.finish()
        group.agree(None)
        failed = {m.run: m.reason for m in missing}
        return {run: {"failure": failed[run]} if run in failed else _scores(place.run(run)) for run in runs}


@contextmanager
def _others_waiting(group: Group) -> Iterator[None]:
    """A block that the other processes wait for: an error in it lets them end too, without a word of their own."""
    try:
        yield
    except OtoscopeError:
        group.agree(None)
        raise


def prepare(place: StudyFolder, config: StudyConfig, manifest: Manifest, show: Progress) -> tuple[Speech, FeatureStore]:
    """Claims the folder for this study, and makes ready its speech and the features of all its recognisers."""
    _claim(place, config)
    with manifest.timed("corpus"):
        speech = load_speech(config, show)
    manifest.speech(speech)
    with manifest.timed("features"):
        speeds = {s for r in config.recognisers.values() for s in r.train().speeds}
        store = build_features(speech, sorted(speeds), place.features, show)
    return speech, store


def _claim(place: StudyFolder, config: StudyConfig) -> None:
    """Writes `study.toml`, or checks that the one there asks for the same training."""
    if place.config.exists() and (changed := config.training_differences(_there(place, config))):
        raise StudyError(
            f"{place.path} holds another study: {', '.join(changed)} differ from what is asked now. Choose another "
            f"folder with --out, or run it as it was with --config {place.config}"
        )
    for left in place.path.rglob(".*.tmp"):  # by a process that was killed; nobody else writes while we hold the lock
        left.unlink(missing_ok=True)
    write_text(place.config, config.toml())


def _there(place: StudyFolder, config: StudyConfig) -> StudyConfig:
    """What the folder's study asks for, but for what may change without touching a run that is trained.

    That is the seeds, and the settings of recognisers all of whose runs failed.
    """
    there = StudyConfig.read(place.config)
    mended = {
        name: recogniser
        for name, recogniser in config.recognisers.items()
        if name in there.recognisers
        and (begun := list(place.run(name).glob("seed*")))
        and all(map(may_begin_anew, begun))
    }
    return there.model_copy(update={"seeds": config.seeds, "recognisers": there.recognisers | mended})


def _device(config: StudyConfig, runs: Sequence[str]) -> str:
    """The device of all these runs. Raises StudyError where they ask for several: processes join on one kind."""
    devices = {config.recognisers[run.rpartition("/")[0]].train().device for run in runs}
    if len(devices) > 1:
        raise StudyError(
            f"under torchrun all runs train on one kind of device, and these ask for {', '.join(sorted(devices))}: "
            "name those of one kind with --run"
        )
    return devices.pop()


def _scores(folder: Path) -> dict[str, Any]:
    """The error rates of a run's final model."""
    test = read_json(folder / "test.json")
    last = read_log(folder)[-1]
    return {
        "dev_wer": last.get("final_dev_wer", last["dev_wer"]),
        "test_wer": test["test_wer"],
        "test_cer": test["test_cer"],
        "checkpoint": str(final_checkpoint(folder)),
        **{how: without_transcripts(test[how]) for how in ("ngram", "attention") if how in test},
    }
