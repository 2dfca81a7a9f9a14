import pytest

from otoscope.report import write_report
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
