"""From trained runs to results: layers compared, unit after unit of work; what fails is named, the rest is kept."""

from __future__ import annotations

from collections.abc import Sequence

from otoscope.asr import FeatureStore, ReferenceRecogniser, read_log
from otoscope.capture import Layer
from otoscope.engines import Failure, run_all
from otoscope.study.carrying import read_off
from otoscope.study.config import StudyConfig
from otoscope.study.failing import forget_failure, raise_missing, record_failure, tell
from otoscope.study.folder import StudyFolder, read_json
from otoscope.study.gaps import Gap, split_off_unreadable
from otoscope.study.measuring import read_unit, unit_tasks
from otoscope.study.missing import Missing
from otoscope.study.needs import LEVEL
from otoscope.study.preparation import Progress, Speech, build_probes
from otoscope.study.remembering import forget
from otoscope.study.results import Results
from otoscope.study.rows import CheckpointRow, LayerRow
from otoscope.study.runs import checkpoints_of
from otoscope.study.scoring import utterance_rows
from otoscope.study.units import units_of

__all__ = ["compare_runs"]


def compare_runs(
    place: StudyFolder,
    config: StudyConfig,
    speech: Speech,
    store: FeatureStore,
    runs: Sequence[str],
    missing: Sequence[Missing],
    workers: int,
    show: Progress,
) -> Results:
    """Compares the layers of `runs`, which are trained and scored, and gives the results of a study.

    `missing` are the runs that failed before; they are named in the results, and what fails now beside them. Raises
    StudyError where nothing could be compared.
    """
    layers, unread = _layers(place, runs)
    told = [*missing, *unread]
    if not layers:
        raise_missing(told, place)
    sets = build_probes(speech, config.probe.splits, store, place.features, show)
    checkpoints = {run: checkpoints_of(place, run) for run in layers}
    planned = units_of(config, checkpoints)
    units, gaps = split_off_unreadable(planned)
    for gap in gaps:
        _tell(gap)
    by_name = {unit.name: unit for unit in units}

    def failed(failure: Failure) -> None:
        gaps.append(Gap(by_name.pop(failure.task), f"{type(failure.error).__name__}: {failure.error}"))
        _tell(gaps[-1])

    tasks = unit_tasks(units, sets, place.measured)
    run_all(tasks, workers=workers, poll=lambda done: show("comparing layers", done, len(tasks)), failed=failed)
    forget(0)
    content, unread_content = read_off(place, config, speech, store, checkpoints, workers, show)
    told += [*(gap.missing for gap in gaps), *unread_content]
    if all(unit.probe for unit in by_name.values()):
        raise_missing(told, place)
    measured = [read_unit(unit, place.measured) for unit in by_name.values()]
    for run in set(layers) - {gap.missing.run for gap in gaps}:
        forget_failure(place.run(run))
    about = read_json(place.manifest)
    return Results.from_rows(
        [c for m in measured for c in m.comparisons] + [c for gap in gaps for c in gap.comparisons(layers)],
        [row for run in layers for row in _checkpoint_rows(place, run)],
        [
            LayerRow(run, layer.name, layer.units, layer.stride, layer.kind)
            for run, own in layers.items()
            for layer in own
        ],
        measures=config.measures,
        refusals=[r for m in measured for r in m.refusals],
        no_intervals=[r for m in measured for r in m.no_intervals],
        missing=told,
        content_rows=content,
        utterance_rows=[row for run in layers for row in utterance_rows(place, run, speech)],
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


def _layers(place: StudyFolder, runs: Sequence[str]) -> tuple[dict[str, list[Layer]], list[Missing]]:
    """The layers of each run, and the runs whose last checkpoint, with which all others are compared, is damaged."""
    layers: dict[str, list[Layer]] = {}
    missing = []
    for run in runs:
        try:
            layers[run] = ReferenceRecogniser.load(checkpoints_of(place, run)[-1].path).layers()
        except Exception as error:  # whatever a damaged file leads to
            missing.append(record_failure(place, run, "comparing", error))
    return layers, missing


def _tell(gap: Gap) -> None:
    found = gap.missing
    tell(f"comparing {found.run}, {found.part}, failed, the others go on: {found.reason}")


def _checkpoint_rows(place: StudyFolder, run: str) -> list[CheckpointRow]:
    log = read_log(place.run(run))
    test = read_json(place.run(run) / "test.json")
    rows, losses, rate = [], [], float("nan")
    for row in log:
        if row["kind"] == "step":
            losses.append(row["loss"])
            rate = row["learning_rate"]
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
                learning_rate=rate,
            )
        )
        losses = []
    return rows
