import pytest

from otoscope.report import write_report
from otoscope.study.findings.writing import about_study, save
from otoscope.study.missing import Missing
from otoscope.study.results import Results
from tests.report.made_findings import make_findings
from tests.report.studies import make_study

RUNS = {"cnn/seed0": 5, "cnn/seed1": 5, "lstm/seed0": 4, "transformer/seed0": 6}


@pytest.fixture(scope="session")
def three(tmp_path_factory):
    """Three recognisers, the first with two seeds, some values missing, and the written report."""
    folder = make_study(tmp_path_factory.mktemp("study"), RUNS, missing=True)
    write_report(folder)
    return folder


@pytest.fixture(scope="session")
def with_intervals(tmp_path_factory):
    """Two recognisers compared by a similarity and by a distance, each with intervals, and the written report."""
    runs, measures = {"cnn/seed0": 4, "lstm/seed0": 3}, ["cka", "procrustes"]
    folder = make_study(tmp_path_factory.mktemp("study"), runs, measures=measures, intervals=True)
    write_report(folder)
    return folder


FAILED = Missing("lstm/seed1", "training", "TrainingError: the loss at step 12 is nan")
UNFINISHED = Missing("cnn/seed0", "comparing", "StudyError: step200.safetensors is damaged", "step 200")


@pytest.fixture(scope="session")
def with_findings(tmp_path_factory):
    """Three recognisers with findings of every question, content, a run that failed, and the written report."""
    runs = {"cnn/seed0": 5, "cnn/seed1": 5, "lstm/seed0": 5, "transformer/seed0": 5}
    folder = make_study(
        tmp_path_factory.mktemp("findings"),
        runs,
        intervals=True,
        failed=[FAILED, UNFINISHED],
        content=["phones", "position"],
    )
    results = Results.load(folder / "results.nc")
    found = make_findings(results.runs, results.measures, layers=5)
    save(found, folder / "findings.json", about_study(results, folder / "results.nc"))
    write_report(folder)
    return folder
