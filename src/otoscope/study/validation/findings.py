"""Whether `findings.json` is as its schema says, and of the results that are there."""

from __future__ import annotations

from collections.abc import Iterator

from otoscope.errors import StudyError
from otoscope.files import file_hash
from otoscope.study.config import StudyConfig
from otoscope.study.findings.writing import read
from otoscope.study.folder import StudyFolder
from otoscope.study.validation.asked import AGAIN
from otoscope.study.validation.fault import Fault, named

__all__ = ["FINDINGS", "check_findings"]

FINDINGS = "findings.json"


def check_findings(place: StudyFolder, config: StudyConfig) -> Iterator[Fault]:
    """The faults of findings.json; it may be missing where no finding is asked for."""
    path = place.path / FINDINGS
    if not config.asked and not path.exists():
        return
    try:
        content = read(path)
    except StudyError as error:
        yield Fault(FINDINGS, str(error), AGAIN)
        return
    if place.results.is_file() and content["about"]["results"] != file_hash(place.results):
        yield Fault(FINDINGS, "was found in other results than those of results.nc", AGAIN)
    found = {finding["id"].partition("-")[0] for finding in content["findings"]}
    # F10 asks of others' findings, where there are any.
    if gone := [id_ for id_ in config.asked if id_ not in found and id_ != "F10"]:
        yield Fault(FINDINGS, f"has nothing on {named(gone)}, which study.toml asks for", AGAIN)
