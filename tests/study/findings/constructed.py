"""Studies made of constructed representations: what runs show is built in, and measured as in a real study.

Layers are frames × units, drawn at random; similarities, and those without each block of speech, come from the
project's own moments, measures and jackknife. Nothing here knows of a finding.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch

from otoscope.measures.inference import BlockMoments, jackknife_all
from otoscope.measures.inference.grouping import place
from otoscope.measures.result import Similarity
from otoscope.study.results import CheckpointRow, Comparison, LayerRow, Results, UtteranceRow
from otoscope.study.rows import KINDS
from otoscope.study.utterances import with_utterances

Floats = npt.NDArray[np.float64]

UTTERANCES, FRAMES, UNITS, BLOCKS = 40, 12, 8, 10


@dataclass
class Draw:
    """Where constructed representations come from: independent normal numbers, and speech that all runs hear alike."""

    seed: int
    random: np.random.Generator = field(init=False)
    speech: Floats = field(init=False)

    def __post_init__(self) -> None:
        self.random = np.random.default_rng(self.seed)
        self.speech = self.fresh()

    def fresh(self) -> Floats:
        """Something that is independent of all else: (frames, units)."""
        return self.random.standard_normal((UTTERANCES * FRAMES, UNITS))

    def mixed(self, *parts: tuple[float, Floats]) -> Floats:
        """The parts, each of this share of the variance, the rest new noise."""
        rest = 1 - sum(share for share, _ in parts)
        made = np.sqrt(max(rest, 0.0)) * self.fresh()
        for share, part in parts:
            made = made + np.sqrt(share) * part
        return made


Run = Mapping[int, Sequence[Floats]]
"""By training step, the layers of a run."""


def study(
    runs: Mapping[str, Run],
    kinds: Sequence[str],
    *,
    training: Mapping[str, Sequence[CheckpointRow]] | None = None,
    measures: Sequence[str] = ("cka",),
) -> Results:
    """The results of a study in which the runs showed these representations.

    `kinds` are the comparisons that it made, `training` the rows of checkpoints where a finding reads them.
    """
    assert set(kinds) <= set(KINDS)
    views = {
        _view(run, step, i): torch.from_numpy(layer).float()
        for run, states in runs.items()
        for step, layers in states.items()
        for i, layer in enumerate(layers)
    }
    wanted = list(_wanted(runs, kinds))
    order = np.random.default_rng(1).permutation(UTTERANCES)
    for kind, _, y in wanted:
        if kind == "shuffled":
            views[_shuffled(y)] = views[_view(*y)].reshape(UTTERANCES, FRAMES, -1)[order].flatten(0, 1)
    named = [(_view(*x), _shuffled(y) if kind == "shuffled" else _view(*y)) for kind, x, y in wanted]
    kept = BlockMoments.of(views, utterances=[FRAMES] * UTTERANCES, blocks=BLOCKS, pairs=list(dict.fromkeys(named)))
    found = jackknife_all(kept, list(measures), named)
    rows = []
    for (kind, x, y), pair in zip(wanted, named, strict=True):
        values = {m: found[m, *pair] for m in measures}
        assert all(isinstance(v, Similarity) for v in values.values())
        rows.append(
            Comparison(
                kind,
                x[0],
                x[1],
                f"layer{x[2]}",
                y[0],
                y[1],
                f"layer{y[2]}",
                {m: v.value for m, v in values.items()},
                low={m: v.low for m, v in values.items()},
                high={m: v.high for m, v in values.items()},
                left_out={} if kind == "shuffled" else {m: v.left_out for m, v in values.items()},
            )
        )
    checkpoints = [
        row
        for run, states in runs.items()
        for row in (training or {}).get(run, [CheckpointRow(run, step) for step in states])
    ]
    depth = [
        LayerRow(run, f"layer{i}", UNITS, 0.04) for run, states in runs.items() for i in range(len(states[min(states)]))
    ]
    return Results.from_rows(rows, checkpoints, depth, measures=measures, intervals="95 %, jackknife over blocks")


View = tuple[str, int, int]


def _view(run: str, step: int, layer: int) -> str:
    return f"{run}@{step}:{layer}"


def _shuffled(view: View) -> str:
    return "shuffled " + _view(*view)


def _wanted(runs: Mapping[str, Run], kinds: Sequence[str]) -> list[tuple[str, View, View]]:
    wanted: list[tuple[str, View, View]] = []
    for run, states in runs.items():
        steps = sorted(states)
        first, last = steps[0], steps[-1]
        layers = range(len(states[first]))
        if "within" in kinds:
            wanted += [
                ("within", (run, step, i), (run, step, j)) for step in (first, last) for i in layers for j in layers
            ]
        if "shuffled" in kinds:
            wanted += [("shuffled", (run, last, i), (run, last, j)) for i in layers for j in layers]
        if "to_final" in kinds:
            wanted += [("to_final", (run, step, i), (run, last, i)) for step in steps for i in layers]
        if "to_previous" in kinds:
            wanted += [("to_previous", (run, b, i), (run, a, i)) for a, b in itertools.pairwise(steps) for i in layers]
    if "across" in kinds:
        for x, y in itertools.combinations(runs, 2):
            ends_x, ends_y = sorted(runs[x]), sorted(runs[y])
            for at in (0, -1):
                a, b = ends_x[at], ends_y[at]
                wanted += [
                    ("across", (x, a, i), (y, b, j)) for i in range(len(runs[x][a])) for j in range(len(runs[y][b]))
                ]
    return wanted


def recognised(results: Results, rows: Sequence[UtteranceRow]) -> Results:
    """The same study with the word errors of its runs."""
    return Results(with_utterances(results.dataset, rows))


def across_by_utterance(runs: Mapping[str, Sequence[Floats]], lengths: Sequence[int], *, measure: str) -> Results:
    """Final states compared across runs, each utterance being a block of speech of its own, numbered as it comes."""
    views = {f"{run}:{i}": torch.from_numpy(x).float() for run, layers in runs.items() for i, x in enumerate(layers)}
    pairs = [
        ((x, i), (y, j))
        for x, y in itertools.combinations(runs, 2)
        for i in range(len(runs[x]))
        for j in range(len(runs[y]))
    ]
    named = [(f"{x}:{i}", f"{y}:{j}") for (x, i), (y, j) in pairs]
    kept = BlockMoments.of(views, utterances=list(lengths), blocks=len(lengths), pairs=named)
    # Longer utterances come to blocks first: back to the order of the utterances.
    block_of = place(list(lengths), None, sum(lengths), len(lengths)).blocks
    found = jackknife_all(kept, measure, named)
    rows = []
    for ((x, i), (y, j)), pair in zip(pairs, named, strict=True):
        value = found[measure, *pair]
        assert isinstance(value, Similarity)
        left = [value.left_out[block_of[u]] for u in range(len(lengths))]
        rows.append(
            Comparison("across", x, 0, f"layer{i}", y, 0, f"layer{j}", {measure: value.value}, left_out={measure: left})
        )
    depth = [LayerRow(run, f"layer{i}", UNITS, 0.04) for run, layers in runs.items() for i in range(len(layers))]
    return Results.from_rows(rows, [CheckpointRow(run, 0) for run in runs], depth, measures=[measure])
