"""Whether a study's folder is whole: every file there, readable, and of the same study."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from otoscope.study.folder import StudyFolder
from otoscope.study.runs import run_names
from otoscope.study.validation.asked import check_asked, read_config, read_manifest
from otoscope.study.validation.fault import Fault
from otoscope.study.validation.findings import check_findings
from otoscope.study.validation.results import check_complete, check_parquet, check_speech, read_results
from otoscope.study.validation.runs import check_run

__all__ = ["validate"]


def validate(folder: Path | str) -> list[Fault]:
    """Checks a study's folder against itself; nothing in it is changed, and no speech is needed.

    Looked at are study.toml, manifest.json, every run (settings, log, checkpoints, scores of these weights),
    results.nc and all that study.toml asks of it, results.parquet, findings.json by its schema, the report; and
    whether they tell of the same speech and the same results.

    Arguments:
        folder: that `otoscope study` wrote.

    Returns:
        The faults, each with what to do; none where the folder is whole.

    >>> [fault.path for fault in validate("/nowhere")]
    ['.']
    """
    return list(_faults(StudyFolder(Path(folder))))


def _faults(place: StudyFolder) -> Iterator[Fault]:
    known = (place.config, place.manifest, place.results, place.path / "recognisers")
    if not any(path.exists() for path in known):
        what = "holds no study" if place.path.is_dir() else "is no folder"
        yield Fault(".", f"{place.path} {what}", "name a folder that `otoscope study` made")
        return
    config, faults = read_config(place)
    yield from faults
    manifest, faults = read_manifest(place)
    yield from faults
    results, faults = read_results(place)
    yield from faults
    if config is not None and manifest is not None:
        yield from check_asked(config, manifest)
    if results is not None and manifest is not None:
        yield from check_speech(results, manifest)
    if config is not None:
        failed = {m.run for m in results.missing if not m.part} if results is not None else set()
        for run in run_names(config):
            if run not in failed:  # of which the results tell
                yield from check_run(place, config, run)
        if results is not None:
            yield from check_complete(place, config, results)
        yield from check_findings(place, config)
    if results is not None:
        yield from check_parquet(place, results)
    if not place.report.is_file():
        yield Fault("report.html", "is missing", f"run `otoscope report {place.path}`")
