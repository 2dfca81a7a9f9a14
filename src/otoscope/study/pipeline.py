"""A study from beginning to end: speech, training, comparisons, results; every step picks up where a kill left it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from otoscope.errors import StudyError
from otoscope.study.comparing import compare_runs
from otoscope.study.config import StudyConfig
from otoscope.study.failing import raise_missing, without
from otoscope.study.findings.finding_all import find_all, questions_of
from otoscope.study.findings.writing import about_study, save
from otoscope.study.folder import StudyFolder
from otoscope.study.manifest import Manifest
from otoscope.study.parquet import write_parquet
from otoscope.study.preparation import Progress
from otoscope.study.recognisers import available_cores, launched, prepare, silent
from otoscope.study.results import Results
from otoscope.study.runs import run_names
from otoscope.study.scoring import score_runs
from otoscope.study.training import train, unfinished

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

    A run that fails is named at once by a warning of `logging`, in the results' `missing` and in its folder, and the
    others go on; so is a comparison. The same command later tries again what failed, and nothing else.

    Raises StudyError where the folder holds another study or is in use, or all of it failed, and CorpusError where the
    speech cannot be used.
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
            missing = train(place, config, speech, store, unfinished(place, config, runs), workers, show)
            missing += score_runs(place, config, speech, store, without(runs, missing), workers, show)
        manifest.recognisers(config, place, [m.run for m in missing])
        if not (whole := without(runs, missing)):
            raise_missing(missing, place)
        with manifest.timed("comparing"):
            results = compare_runs(place, config, speech, store, whole, missing, workers, show)
            place.findings.unlink(missing_ok=True)  # those of other results, until they are found anew
            results.save(place.results)
            write_parquet(results, place.table)
        with manifest.timed("findings"):
            _find(place, config, results, show)
        manifest.finish()
    return results


def _find(place: StudyFolder, config: StudyConfig, results: Results, show: Progress) -> None:
    """Writes the findings that are asked for, if any are."""
    if not config.asked:
        return
    findings = find_all(
        results,
        questions=questions_of(config.asked),
        robustness="F10" in config.asked,
        progress=lambda done, total: show("finding", done, total),
    )
    save(findings, place.findings, about_study(results, place.results))
