"""results.parquet: every value of results.nc, with what other tools need beside it."""

from __future__ import annotations

import numpy as np
import pyarrow.parquet as pq
import pytest

from otoscope import Results, StudyError
from otoscope.study.parquet import COLUMNS, about_parquet, read_parquet, write_parquet
from otoscope.study.results import CheckpointRow, Comparison, LayerRow

RUN = "cnn/seed0"


def test_every_value_of_a_real_study_is_in_the_table(finished_study, tmp_path):
    results = Results.load(finished_study / "results.nc")
    path = write_parquet(results, tmp_path / "results.parquet")
    table = pq.read_table(path)
    assert {field.name: field.type for field in table.schema} == COLUMNS
    frame = read_parquet(path)
    assert len(frame) == results.dataset.sizes["pair"] * len(results.measures)
    step = results.steps("lstm/seed0")[-1]
    rows = frame[(frame.kind == "across") & (frame.measure == "cca") & (frame.run_x == "cnn/seed0")]
    rows = rows[(rows.run_y == "lstm/seed0") & (rows.step_y == step)]
    matrix = results.across("cnn/seed0", "lstm/seed0", "cca").values
    np.testing.assert_array_equal(rows.similarity.to_numpy(), matrix.ravel())
    assert rows.depth_x.tolist() == np.repeat(range(3), 3).tolist()
    assert rows.depth_y.tolist() == list(range(3)) * 3
    layer = results.layers("lstm/seed0").index("blocks.1")
    units = results.dataset["units"].values[results.dataset["run_l"].values == "lstm/seed0"][layer]
    assert set(rows.units_y[rows.layer_y == "blocks.1"]) == {units}
    assert set(rows.dev_wer_y) == {float(results.wer("lstm/seed0")["dev_wer"].sel(step=step))}
    assert set(rows.dev_wer_x) == {float(results.wer("cnn/seed0")["dev_wer"].isel(step=-1))}
    about, count = about_parquet(path)
    assert (about["title"], about["corpus_hash"], count) == ("tiny", results.dataset.attrs["corpus_hash"], len(frame))


def two_layers(**fields):
    pairs = [
        Comparison("within", RUN, 0, "a", RUN, 0, "b", {"cka": 0.3}, **fields),
        Comparison("within", RUN, 0, "a", RUN, 0, "b", {"cka": 0.1}, probe="noisy"),
        Comparison("within", RUN, 0, "b", RUN, 0, "b", {"cka": np.nan}),
    ]
    layers = [LayerRow(RUN, name, units=64, stride=0.02) for name in "ab"]
    return Results.from_rows(pairs, [CheckpointRow(RUN, 0)], layers, probes={"noisy": {}})


def test_what_was_not_computed_is_null_and_probe_sets_are_told_apart(tmp_path):
    path = write_parquet(two_layers(), tmp_path / "t.parquet")
    table = pq.read_table(path)
    assert table["similarity"].to_pylist() == [0.3, 0.1, None]
    assert table["probe"].to_pylist() == ["", "noisy", ""]
    assert table["low"].null_count == table["dev_wer_x"].null_count == 3
    with_ends = write_parquet(two_layers(low={"cka": 0.2}, high={"cka": 0.4}), tmp_path / "u.parquet")
    assert pq.read_table(with_ends)["high"].to_pylist() == [0.4, None, None]


def test_files_that_are_no_parquet_are_told(tmp_path):
    for path in (tmp_path / "none.parquet", tmp_path / "text.parquet"):
        with pytest.raises(StudyError, match="cannot be read as Parquet"):
            read_parquet(path)
        (tmp_path / "text.parquet").write_text("kind,run")
    assert not list(tmp_path.glob(".*.tmp"))
