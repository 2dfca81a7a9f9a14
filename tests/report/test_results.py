"""The results' data model: labelled readers, the file, and what it refuses."""

import numpy as np
import pytest
import xarray as xr

from otoscope.errors import StudyError
from otoscope.study.results import CheckpointRow, Comparison, LayerRow, Refusal, Results
from tests.report.studies import HALF_WIDTH, MEASURES, STEPS, make_study

RUN, OTHER = "cnn/seed0", 'l<b>"é 音/seed1'


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = make_study(tmp_path_factory.mktemp("results"), {RUN: 3, OTHER: 2}, missing=True)
    return folder / "results.nc"


def test_names_orders_and_values_survive_the_file(saved):
    results = Results.load(saved)
    assert results.runs == (RUN, OTHER)
    assert results.measures == tuple(MEASURES)
    assert results.steps(RUN) == STEPS
    assert results.layers(OTHER) == ("blocks.0", "blocks.1")
    assert results.refusals[0] == Refusal("cca", RUN, "blocks.1", "12 frames for 7 units: too few")
    again = Results.load(results.save(saved.with_name("again.nc")))
    assert again.dataset.identical(results.dataset)
    assert not list(saved.parent.glob(".*.part"))


def test_matrices_and_curves_agree_with_the_rows(saved):
    results = Results.load(saved)
    frame = results.to_frame()
    for measure in MEASURES:
        matrix = results.within(RUN, 50, measure)
        assert matrix.dims == ("layer_x", "layer_y")
        rows = frame[
            (frame.kind == "within") & (frame.run_x == RUN) & (frame.step_x == 50) & (frame.measure == measure)
        ]
        assert len(rows) == 9
        for row in rows.itertuples():
            cell = matrix.sel(layer_x=row.layer_x, layer_y=row.layer_y)
            np.testing.assert_equal(float(cell), row.similarity)
            np.testing.assert_equal(float(cell["null"]), row.null)
    assert np.isnan(results.within(RUN, 0, "cca").sel(layer_x="blocks.1")).all()
    final = results.curve("to_final", RUN, "cka")
    assert final.sel(step=STEPS[-1]).values == pytest.approx(1.0)
    previous = results.curve("to_previous", RUN, "cka")
    assert np.isnan(previous.sel(step=0)).all()
    assert previous.sel(step=STEPS[-1]).notnull().all()
    assert float(abs(results.shuffled(RUN, 0, "cka")).max()) < 0.1


def test_across_is_given_in_either_order_where_the_measure_is_symmetric(saved):
    results = Results.load(saved)
    forth, back = results.across(RUN, OTHER, "cka"), results.across(OTHER, RUN, "cka")
    assert forth.shape == (3, 2)
    assert back.shape == (2, 3)
    np.testing.assert_array_equal(forth.values, back.values.T)
    assert not np.allclose(forth, results.across(RUN, OTHER, "cka", "first"))
    assert results.compared("across") == ((RUN, 0, OTHER, 0), (RUN, STEPS[-1], OTHER, STEPS[-1]))


@pytest.mark.parametrize("measure", ["pwcca", "regression", "one that is not registered here"])
def test_an_asymmetric_measure_is_refused_in_the_other_order(measure):
    pair = Comparison("across", "a/seed0", 0, "x", "b/seed0", 0, "y", {measure: 0.5, "procrustes": 0.1})
    layers = [LayerRow("a/seed0", "x", 4, 0.01), LayerRow("b/seed0", "y", 4, 0.01)]
    results = Results.from_rows([pair], [CheckpointRow(r, 0) for r in ("a/seed0", "b/seed0")], layers)
    assert float(results.across("a/seed0", "b/seed0", measure)[0, 0]) == 0.5
    with pytest.raises(StudyError, match="ask in the stored order"):
        results.across("b/seed0", "a/seed0", measure)
    assert float(results.across("b/seed0", "a/seed0", "procrustes")[0, 0]) == 0.1


def test_intervals_survive_the_file_and_stand_beside_the_values(with_intervals):
    results = Results.load(with_intervals / "results.nc")
    assert results.intervals == "95 %, jackknife over blocks of speakers"
    assert [r.reason for r in results.no_intervals] == ["half of it is too short"]
    for found in (
        results.within("cnn/seed0", STEPS[-1], "procrustes"),
        results.curve("to_final", "cnn/seed0", "cka"),
        results.across("lstm/seed0", "cnn/seed0", "cka"),
    ):
        np.testing.assert_allclose(found["low"], found.values - HALF_WIDTH)
        np.testing.assert_allclose(found["high"], found.values + HALF_WIDTH)
    assert results.shuffled("cnn/seed0", 0, "cka")["low"].isnull().all()
    frame = results.to_frame()
    here = frame[frame.kind == "within"]
    np.testing.assert_allclose(here.high - here.low, 2 * HALF_WIDTH)


def test_results_without_intervals_are_as_they_were(saved):
    results = Results.load(saved)
    assert results.intervals == ""
    assert results.no_intervals == ()
    assert not {"low", "high"} & set(results.dataset.variables)
    assert "low" not in results.within(RUN, 0, "cka").coords
    older = results.dataset.copy()
    for name in ("intervals", "no_intervals", "sample_frames", "sample_utterances"):
        del older.attrs[name]  # as written before there were any
    again = Results.load(Results(older).save(saved.with_name("older.nc")))
    assert (again.intervals, again.no_intervals) == ("", ())


def test_scores_come_in_the_order_of_steps():
    points = [CheckpointRow("a/seed0", 10, dev_wer=0.5, seconds=3.0), CheckpointRow("a/seed0", 0, dev_wer=1.0)]
    results = Results.from_rows([], points, [])
    assert results.wer("a/seed0")["dev_wer"].to_series().to_dict() == {0: 1.0, 10: 0.5}
    assert np.isnan(results.wer("a/seed0")["test_wer"]).all()
    assert float(results.training("a/seed0")["seconds"].sel(step=10)) == 3.0
    assert results.steps("a/seed0") == (0, 10)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda r: r.within("nobody/seed0", 0, "cka"), "no run 'nobody/seed0'"),
        (lambda r: r.within(RUN, 7, "cka"), "no checkpoint at step 7"),
        (lambda r: r.within(RUN, 0, "rsa"), "no measure 'rsa'"),
        (lambda r: r.shuffled(RUN, 50, "cka"), "no such comparison"),
    ],
)
def test_what_is_not_there_is_named(saved, call, message):
    with pytest.raises(StudyError, match=message):
        call(Results.load(saved))


PAIR = Comparison("within", "a/seed0", 0, "x", "a/seed0", 0, "x", {"cka": 1.0})
POINT, LAYER = CheckpointRow("a/seed0", 0), LayerRow("a/seed0", "x", 4, 0.01)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (([PAIR, PAIR], [POINT], [LAYER]), "came twice"),
        (([PAIR], [], [LAYER]), "no CheckpointRow"),
        (([PAIR], [POINT], []), "no LayerRow"),
        (([Comparison("among", "a/seed0", 0, "x", "a/seed0", 0, "x", {})], [POINT], [LAYER]), "kind is one of"),
        (([], [POINT, POINT], [LAYER]), "checkpoint .* came twice"),
        (([], [POINT], [LAYER, LAYER]), "layer .* came twice"),
    ],
)
def test_rows_that_contradict_each_other_are_refused(rows, message):
    with pytest.raises(StudyError, match=message):
        Results.from_rows(*rows)


def test_a_measure_outside_the_named_ones_is_refused():
    with pytest.raises(StudyError, match="'cka', which is not one of"):
        Results.from_rows([PAIR], [POINT], [LAYER], measures=["cca"])


def test_foreign_missing_and_cut_off_files_are_refused(saved, tmp_path):
    with pytest.raises(StudyError, match="no such results file"):
        Results.load(tmp_path / "none.nc")
    cut = tmp_path / "cut.nc"
    cut.write_bytes(saved.read_bytes()[:4000])
    with pytest.raises(StudyError, match="not a readable netCDF-4 file"):
        Results.load(cut)
    foreign = tmp_path / "foreign.nc"
    xr.Dataset({"a": ("x", [1.0])}).to_netcdf(foreign, engine="h5netcdf")
    with pytest.raises(StudyError, match="not a study's results"):
        Results.load(foreign)
    newer = Results(Results.load(saved).dataset.assign_attrs(schema_version=99)).save(tmp_path / "newer.nc")
    with pytest.raises(StudyError, match="schema 99"):
        Results.load(newer)


def test_a_failed_save_leaves_the_old_file_and_no_other(saved, tmp_path):
    results = Results.load(saved)
    target = results.save(tmp_path / "results.nc")
    before = target.read_bytes()
    broken = Results(results.dataset.assign_attrs(extra={"not": "an attribute"}))
    with pytest.raises(TypeError):
        broken.save(target)
    assert target.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["results.nc"]


def test_the_notebook_view_escapes_names(saved):
    page = Results.load(saved)._repr_html_()
    assert "l&lt;b&gt;" in page
    assert "l<b>" not in page


def test_many_refusals_survive_the_file(tmp_path):
    refusals = [Refusal("cca", "a/seed0", f"layer.{k}", "too few frames: 音" * 4, step=k) for k in range(2000)]
    results = Results.from_rows([PAIR], [POINT], [LAYER], refusals=refusals)
    assert Results.load(results.save(tmp_path / "r.nc")).refusals == tuple(refusals)
