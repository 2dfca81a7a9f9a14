"""Best matches and best paths between the layers of two models."""

import itertools

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from otoscope import StudyError, match_layers


def table(values):
    values = np.asarray(values, dtype=float)
    names = {"layer_x": [f"a{i}" for i in range(values.shape[0])], "layer_y": [f"b{j}" for j in range(values.shape[1])]}
    return xr.DataArray(values, names, dims=("layer_x", "layer_y"))


def test_the_same_model_is_matched_to_itself():
    found = match_layers(table(np.eye(4) + 0.1))
    assert found.best == found.path == {f"a{i}": f"b{i}" for i in range(4)}
    assert found.best_mean == found.path_mean == pytest.approx(1.1)


def test_layers_in_reverse_have_good_matches_and_no_good_path():
    found = match_layers(table(np.eye(4)[::-1]))
    assert list(found.best.values()) == ["b3", "b2", "b1", "b0"]
    assert found.best_mean == 1
    assert found.path_mean == 0.25  # one of four can be kept in order


@given(
    st.tuples(st.integers(1, 5), st.integers(1, 4)).flatmap(
        lambda sizes: st.lists(
            st.lists(st.integers(-9, 9), min_size=sizes[1], max_size=sizes[1]), min_size=sizes[0], max_size=sizes[0]
        )
    )
)
def test_no_other_path_in_order_is_better(values):
    found = match_layers(table(values))
    path = [int(name[1:]) for name in found.path.values()]
    assert path == sorted(path)
    every = itertools.combinations_with_replacement(range(len(values[0])), len(values))
    best = max(sum(row[j] for row, j in zip(values, columns, strict=True)) for columns in every)
    assert found.path_mean == pytest.approx(best / len(values))
    assert found.best_mean == pytest.approx(np.mean([max(row) for row in values]))


def test_distances_are_matched_by_the_smallest_and_undefined_values_to_nothing():
    values = table([[0.3, np.nan], [np.nan, 0.1]])
    assert match_layers(values, distance=True).best == {"a0": "b0", "a1": "b1"}
    assert match_layers(values.T.rename(layer_x="layer_y", layer_y="layer_x"), distance=True).best_mean == 0.2
    with pytest.raises(StudyError, match="no similarity of a1 is defined"):
        match_layers(table([[0.3, 0.2], [np.nan, np.nan]]))
