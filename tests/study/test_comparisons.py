"""Which comparisons a study makes: those its findings read, and no others."""

from collections import Counter
from pathlib import Path

import pytest

from otoscope import StudyConfig
from otoscope.capture import Layer
from otoscope.study.comparisons import FINDINGS
from otoscope.study.counting import count_comparisons
from otoscope.study.units import Checkpoint, units_of

STEPS, DEPTH = 20, 10


def study(recognisers=4, seeds=3, measures=("cka",), **fields):
    named = {f"r{i}": {"architecture": "cnn", "size": "small"} for i in range(recognisers)}
    return StudyConfig.of(recognisers=named, seeds=range(seeds), measures=measures, **fields)


def counted(config, steps=STEPS, depth=DEPTH):
    layers = {name: [Layer(str(i), 4, 0.04, 1, "conv") for i in range(depth)] for name in config.recognisers}
    return count_comparisons(config, dict.fromkeys(config.recognisers, steps), layers)


def test_a_large_study_stays_cheap():
    """4 architectures × 3 seeds × 20 checkpoints × 10 layers."""
    ends = counted(study(matrices="ends")).by_kind
    runs, square = 12, DEPTH**2
    assert ends == {
        "within": runs * 2 * square,
        "shuffled": runs * 2 * square,
        "to_final": runs * STEPS * DEPTH,
        "to_previous": runs * (STEPS - 1) * DEPTH,
        "across": (6 * 3 + 4 * 3) * 2 * square,
    }
    every = counted(study()).by_kind
    assert every == ends | {"within": runs * STEPS * square}
    all_pairs_of_runs = runs * (runs - 1) // 2 * 2 * square
    assert ends["across"] == all_pairs_of_runs * 30 / 66


@pytest.mark.parametrize(
    ("finding", "asked"),
    [
        ("F1", {"within": 2, "shuffled": 1}),
        ("F2", {"to_final": STEPS}),
        ("F3", {"within": 2, "shuffled": 1}),
        ("F4", {"within": 2, "shuffled": 1}),
        ("F5", {"to_final": STEPS, "shuffled": 1}),
        ("F6", {"to_previous": STEPS - 1}),
        ("F7", {"across": 2}),
        ("F8", {"across": 4}),
        ("F9", {"to_final": STEPS, "within": 1, "across": 1}),
        ("F10", {}),
    ],
)
def test_each_finding_asks_for_what_it_reads(finding, asked):
    """Of two recognisers with two seeds: counts for a run or, across, for a recogniser."""
    config = study(2, 2, findings=[finding])
    pairs = {"within": DEPTH**2, "shuffled": DEPTH**2, "across": DEPTH**2, "to_final": DEPTH, "to_previous": DEPTH}
    times = {"across": 2 if finding != "F8" else 1}
    expected = sum(pairs[kind] * n * times.get(kind, 4) for kind, n in asked.items())
    assert counted(config).by_question == {"matrices": 4 * (STEPS + 2) * DEPTH**2, finding: expected}
    assert set(counted(config).by_kind) == {"within", "shuffled", *asked}


def test_runs_are_compared_with_other_seeds_and_with_the_same_seed_of_others():
    config = study(3, 2)
    runs = {f"r{i}/seed{k}": [Checkpoint(f"r{i}/seed{k}", s, Path()) for s in (0, 5)] for i in range(3) for k in (0, 1)}
    across = [unit.checkpoints for unit in units_of(config, runs) if unit.kind == "across"]
    named = Counter((x.run, y.run) for x, y in across)
    assert set(named.values()) == {2}
    assert {x.step for x, _ in across} == {0, 5}
    assert all(x.step == y.step for x, y in across)
    seeds = {(f"r{i}/seed0", f"r{i}/seed1") for i in range(3)}
    others = {(f"r{i}/seed{k}", f"r{j}/seed{k}") for i, j in ((0, 1), (0, 2), (1, 2)) for k in (0, 1)}
    assert set(named) == seeds | others


def test_a_run_that_is_missing_takes_only_its_own_pairs():
    runs = {name: [Checkpoint(name, 0, Path())] for name in ("r0/seed0", "r0/seed1", "r1/seed1")}
    across = [u.checkpoints for u in units_of(study(2, 2), runs) if u.kind == "across"]
    assert [(x.run, y.run) for x, y in across] == [("r0/seed0", "r0/seed1"), ("r0/seed1", "r1/seed1")]


def test_further_probe_sets_see_what_findings_read_and_no_baselines():
    config = study(2, 2, measures=["cka", "cca"], matrices="ends", probes={"coarse": {"grid": 2}})
    found = counted(config)
    on_it = 4 * (DEPTH**2 + STEPS * DEPTH) + (2 + 2) * DEPTH**2
    assert found.by_question["coarse"] == on_it
    kinds = Counter(kind for unit in found.units if unit.probe for kind in unit.kinds)
    assert kinds == {"within": 4, "to_final": 4 * STEPS, "across": 4}
    assert {unit.name.partition("/")[0] for unit in found.units if unit.probe} == {"coarse"}
    assert {tuple(m.name for m in unit.measures) for unit in found.units if unit.probe} == {("cka",)}
    assert "coarse" not in counted(study(2, 2, findings=[], probes={"coarse": {"grid": 2}})).by_question
    names = [unit.name for unit in found.units]
    assert len(set(names)) == len(names)


def test_every_finding_is_known():
    assert list(FINDINGS) == [f"F{i}" for i in range(1, 11)]
