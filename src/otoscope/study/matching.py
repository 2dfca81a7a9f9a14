"""Which layer of one model goes with which of another: best matches, and the best path that keeps their order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import xarray as xr

from otoscope.errors import StudyError

__all__ = ["Matching", "match_layers"]


@dataclass(frozen=True)
class Matching:
    """Layers of one model matched to those of another.

    `best` maps each layer of the first to the layer of the second that is most like it, `path` to its layer on the
    path that goes through both models in order; `best_mean` and `path_mean` are the mean similarities along them.
    Where these are about the same, the two models do the same things in the same order.
    """

    best: dict[str, str]
    path: dict[str, str]
    best_mean: float
    path_mean: float


def match_layers(similarity: xr.DataArray, *, distance: bool = False) -> Matching:
    """Matches the layers on `layer_x` to those on `layer_y`.

    Formula: best(i) = argmax_j s_ij. The path is the sequence j(1) ≤ j(2) ≤ … that makes Σ_i s_i,j(i) largest, found
    by dynamic programming. Each layer of the first model has one match; a layer of the second may have several, or
    none. The first of equals is taken.

    Arguments:
        similarity: layer_x × layer_y, as `measure` gives it. Undefined values (NaN) are matched to nothing.
        distance: whether small values are alike.

    Raises:
        StudyError: a layer of the first model without a defined value; no path over defined values.

    >>> table = xr.DataArray([[0.9, 0.2], [0.8, 0.1]], {"layer_x": ["a", "b"], "layer_y": ["1", "2"]})
    >>> match_layers(table).best
    {'a': '1', 'b': '1'}
    """
    values = similarity.transpose("layer_x", "layer_y").to_numpy().astype(float)
    scores = np.where(np.isnan(values), -np.inf, -values if distance else values)
    rows, columns = (similarity[axis].to_numpy().tolist() for axis in ("layer_x", "layer_y"))
    if empty := [rows[i] for i in range(len(rows)) if not np.isfinite(scores[i]).any()]:
        raise StudyError(f"no similarity of {empty[0]} is defined: there is nothing to match it to")
    best, path = scores.argmax(1), _in_order(scores)
    every = np.arange(len(rows))
    if not np.isfinite(scores[every, path]).all():
        raise StudyError(
            "every path through both models in order goes over a similarity that is not defined: compare by a measure "
            "that is, or leave those layers out"
        )
    return Matching(
        {rows[i]: columns[j] for i, j in enumerate(best)},
        {rows[i]: columns[j] for i, j in enumerate(path)},
        float(values[every, best].mean()),
        float(values[every, path].mean()),
    )


def _in_order(scores: npt.NDArray[np.float64]) -> npt.NDArray[np.intp]:
    """j(1) ≤ j(2) ≤ … with the largest sum of scores."""
    total, came_from = scores[0], []
    for row in scores[1:]:
        # The best way to any column up to j: where a running maximum was last reached anew.
        reached = np.maximum.accumulate(total)
        anew = np.concatenate(([True], total[1:] > reached[:-1]))
        came_from.append(np.maximum.accumulate(np.where(anew, np.arange(len(row)), 0)))
        total = reached + row
    path = [int(total.argmax())]
    for steps in reversed(came_from):
        path.append(int(steps[path[-1]]))
    return np.array(path[::-1])
