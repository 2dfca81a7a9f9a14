"""A study from beginning to end: speech, training, comparisons, results; every step picks up where a kill left it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from otoscope.asr import FeatureStore, ReferenceRecogniser, read_log
from otoscope.engines import run_all
from otoscope.errors import StudyError
from otoscope.study.config import StudyConfig
from otoscope.study.folder import StudyFolder, read_json
from otoscope.study.manifest import Manifest
from otoscope.study.measuring import read_unit, unit_tasks
from otoscope.study.needs import LEVEL
from otoscope.study.preparation import Progress, Speech, build_probes
from otoscope.study.recognisers import available_cores, launched, prepare, silent
from otoscope.study.results import Results
from otoscope.study.rows import CheckpointRow, LayerRow
from otoscope.study.runs import checkpoints_of, raise_failures, run_names
from otoscope.study.scoring import score_test
from otoscope.study.training import train, unfinished
from otoscope.study.units import units_of

__all__ = ["run_study"]


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
    if launched():
        raise StudyError(
            "torchrun starts processes that train together, and a study also compares, in workers of its own: give "
            "`otoscope train` to torchrun, then run `otoscope study` on the same folder without it"
        )
    place = StudyFolder(folder)
    show = progress or silent
    workers = workers or available_cores()
    runs = list(run_names(config))
    with place.locked():
        manifest = Manifest.open(place, config, command)
        speech, store = prepare(place, config, manifest, show)
        with manifest.timed("training"):
            train(place, config, speech, store, unfinished(place, config, runs), workers, show)
            score_test(place, config, speech, store, runs, workers, show)
        manifest.recognisers(config, place)
        with manifest.timed("comparing"):
            results = _compare(place, config, speech, store, workers, show)
            results.save(place.results)
        manifest.finish()
    return results


def _compare(
    place: StudyFolder, config: StudyConfig, speech: Speech, store: FeatureStore, workers: int, show: Progress
) -> Results:
    runs = {run: checkpoints_of(place, run) for run in run_names(config)}
    units = units_of(config, runs)
    sets = build_probes(speech, config.probe.splits, store, place.features, show)
    tasks = unit_tasks(units, sets, place.measured)
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
        probes={name: probe.about() for name, probe in sets.items() if name},
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
