"""Results without a block of speech, and of further probe sets."""

import json

import numpy as np
import pytest

from otoscope import Results, StudyError
from otoscope.study.rows import CheckpointRow, Comparison, LayerRow, Refusal
from tests.report.studies import make_study

RUN = "cnn/seed0"
POINTS = [CheckpointRow(RUN, 0, dev_wer=1.0)]
LAYERS = [LayerRow(RUN, name, 4, 0.04) for name in "ab"]


def pair(x, y, value, left_out=(), probe="", kind="within"):
    return Comparison(kind, RUN, 0, x, RUN, 0, y, {"cka": value}, left_out={"cka": left_out}, probe=probe)


def square(value, left_out=(), probe=""):
    return [pair(x, y, 1.0 if x == y else value, left_out, probe) for x in "ab" for y in "ab"]


@pytest.fixture
def results(tmp_path):
    """On the main set four blocks, on `coarse` three, on `other` none, and none for shuffled utterances."""
    rows = [
        *square(0.5, (0.4, 0.5, 0.6, 0.7)),
        pair("a", "b", 0.1, kind="shuffled"),
        *square(0.8, (0.7, 0.8, 0.9), "coarse"),
        *square(0.2, (), "other"),
    ]
    told = [Refusal("cka", RUN, "a", "too short", 0, 2, probe) for probe in ("", "coarse")]
    about = {"coarse": {"grid": 2}, "other": {"half": 0}}
    made = Results.from_rows(rows, POINTS, LAYERS, refusals=told, no_intervals=told[1:], probes=about, title="t")
    return Results.load(made.save(tmp_path / "results.nc"))


def test_the_main_set_is_read_unless_another_is_asked_for(results):
    assert results.probes == ("coarse", "other")
    assert json.loads(results.dataset.attrs["probes"])["coarse"] == {"grid": 2}
    for one, value, blocks in (
        (results, 0.5, 4),
        (results.of_probe("coarse"), 0.8, 3),
        (results.of_probe("other"), 0.2, 0),
    ):
        assert float(one.within(RUN, 0, "cka").sel(layer_x="a", layer_y="b")) == value
        assert one.blocks == blocks
        assert one.compared("within") == ((RUN, 0, RUN, 0),)
        assert one.wer(RUN)["dev_wer"].item() == 1.0
        assert one.layers(RUN) == ("a", "b")
    assert float(results.shuffled(RUN, 0, "cka").sel(layer_x="a", layer_y="b")) == 0.1
    with pytest.raises(StudyError, match="no such comparison"):
        results.of_probe("coarse").shuffled(RUN, 0, "cka")
    with pytest.raises(StudyError, match="no probe set 'noisy' in these results; there are: coarse, other"):
        results.of_probe("noisy")
    assert [r.probe for r in results.refusals] == [""]
    assert [r.probe for r in results.of_probe("coarse").refusals] == ["coarse"]
    assert (results.no_intervals, len(results.of_probe("coarse").no_intervals)) == ((), 1)


def test_the_long_table_names_the_probe_set(results):
    assert results.to_frame()["probe"].value_counts().to_dict() == {"": 5, "coarse": 4, "other": 4}
    assert set(results.of_probe("coarse").to_frame()["probe"]) == {"coarse"}
    assert len(results.of_probe("").to_frame()) == 5
    assert results.of_probe("").blocks == 4


@pytest.mark.parametrize(("probe", "values"), [("", (0.4, 0.5, 0.6, 0.7)), ("coarse", (0.7, 0.8, 0.9))])
def test_values_without_a_block_stand_in_place_of_all(results, probe, values):
    one = results.of_probe(probe) if probe else results
    for block, value in enumerate(values):
        left = one.without(block)
        matrix = left.within(RUN, 0, "cka")
        np.testing.assert_allclose(matrix, value, rtol=1e-6)
        assert left.blocks == 0, "they cannot be left out twice"
        assert left.probe == probe
    assert float(one.within(RUN, 0, "cka").sel(layer_x="a", layer_y="a")) == 1.0
    with pytest.raises(
        StudyError, match=f"there is no block {len(values)}: these results left out {len(values)} blocks"
    ):
        one.without(len(values))
    if not probe:
        assert np.isnan(one.without(0).shuffled(RUN, 0, "cka")).all()


def test_results_without_intervals_have_no_blocks(tmp_path):
    results = Results.load(make_study(tmp_path, {RUN: 2}) / "results.nc")
    assert (results.blocks, results.probes) == (0, ())
    assert "left_out" not in results.dataset
    assert "probe" not in results.dataset.variables
    assert set(results.to_frame()["probe"]) == {""}
    with pytest.raises(
        StudyError, match=r"there is no block 0: .* 0 blocks of speech; a study with intervals = true does"
    ):
        results.without(0)
    for name in ("probes", "missing"):
        results.dataset.attrs.pop(name, None)  # as written before there were any
    again = Results.load(results.save(tmp_path / "older.nc"))
    assert again.probes == ()
    assert again.within(RUN, 0, "cka").notnull().all()


def test_a_pair_may_be_given_once_for_each_probe_set():
    with pytest.raises(StudyError, match="came twice"):
        Results.from_rows([pair("a", "b", 0.5, probe="x"), pair("a", "b", 0.5, probe="x")], POINTS, LAYERS)
    rows = [pair("a", "b", 0.5), pair("a", "b", 0.5, probe="x")]
    assert Results.from_rows(rows, POINTS, LAYERS, probes={"x": {}}).dataset.sizes["pair"] == 2
    with pytest.raises(StudyError, match="'cca', which is not one of"):
        Results.from_rows(
            [Comparison("within", RUN, 0, "a", RUN, 0, "a", {"cka": 1.0}, left_out={"cca": (1.0,)})], POINTS, LAYERS
        )
