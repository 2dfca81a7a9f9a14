"""What the results hold beside similarities: errors of each utterance, learning rates, what is missing."""

import numpy as np
import pytest

from otoscope.errors import StudyError
from otoscope.study.results import CheckpointRow, LayerRow, Missing, Results, UtteranceRow

A, B = "a/seed0", "b/seed0"
POINTS = [CheckpointRow(A, 0), CheckpointRow(A, 9, learning_rate=1e-3), CheckpointRow(B, 0)]
LAYERS = [LayerRow(A, "x", 4, 0.01), LayerRow(B, "y", 4, 0.01)]
ROWS = [
    UtteranceRow(A, "u1", errors=0, words=3, split="dev", block=1),
    UtteranceRow(A, "u2 é", errors=5, words=4, split="test", block=0),
    UtteranceRow(B, "u1", errors=2, words=3, split="dev", block=1),
]


def results(**fields):
    return Results.from_rows([], POINTS, LAYERS, measures=["cka"], **fields)


def test_errors_of_utterances_survive_the_file_and_are_given_by_run(tmp_path):
    found = Results.load(results(utterance_rows=ROWS).save(tmp_path / "results.nc"))
    mine = found.utterances(A)
    assert mine["utterance"].values.tolist() == ["u1", "u2 é"]
    assert mine["errors"].values.tolist() == [0, 5]
    assert mine["words"].values.tolist() == [3, 4]
    assert mine["block"].values.tolist() == [1, 0]
    assert mine["split"].values.tolist() == ["dev", "test"]
    assert found.utterances(B)["utterance"].values.tolist() == ["u1"], "B was not scored on the other"


def test_results_without_them_say_how_to_get_them():
    with pytest.raises(StudyError, match="hold no errors of a/seed0 utterance by utterance: run `otoscope study`"):
        results().utterances(A)
    with pytest.raises(StudyError, match="no run 'nobody/seed0'"):
        results(utterance_rows=ROWS).utterances("nobody/seed0")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (UtteranceRow(A, "u1", 1, 3, "dev", 1), "'u1' came twice for a/seed0"),
        (UtteranceRow(B, "u2 é", 1, 4, "test", 3), r"in split and block \('test', 0\) in one row and in \('test', 3\)"),
    ],
)
def test_rows_that_contradict_each_other_are_refused(row, message):
    with pytest.raises(StudyError, match=message):
        results(utterance_rows=[*ROWS, row])


def test_learning_rates_stand_with_the_checkpoints_where_the_file_has_them(tmp_path):
    found = Results.load(results().save(tmp_path / "results.nc"))
    rates = found.training(A)["learning_rate"]
    assert rates["step"].values.tolist() == [0, 9]
    np.testing.assert_array_equal(rates, [np.nan, 1e-3])
    older = Results(found.dataset.drop_vars("learning_rate")).save(tmp_path / "older.nc")
    assert set(Results.load(older).training(A).data_vars) == {"epoch", "seconds", "train_loss", "dev_loss"}


def test_what_is_missing_survives_the_file(tmp_path):
    missing = (Missing("c/seed1", "training", "TrainingError: é"), Missing(A, "comparing", "damaged", "within step 9"))
    path = results(missing=missing).save(tmp_path / "results.nc")
    assert Results.load(path).missing == missing
    older = Results.load(path).dataset
    del older.attrs["missing"]  # as written before there were any
    assert Results.load(Results(older).save(tmp_path / "older.nc")).missing == ()
