"""The units of a study: every utterance once, every refusal counted, another measure than ours."""

import itertools
import math
from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from otoscope import MeasureError, Moments
from otoscope.capture import Layer
from otoscope.measures import Measure, registry
from otoscope.measures.svcca import compute
from otoscope.study.measuring import compare, probe_batches
from otoscope.study.units import Checkpoint, Unit, looked_at, plan_units, wanted_of


@given(st.lists(st.integers(1, 9_000), min_size=2, max_size=40))
def test_the_batches_of_the_probe_set_are_a_partition_of_at_least_two(lengths):
    frames = {f"u{i}": n for i, n in enumerate(lengths)}
    batches = probe_batches(frames)
    assert sorted(itertools.chain.from_iterable(batches)) == sorted(frames)
    assert min(map(len, batches)) >= 2


def unit(tmp_path, measures):
    return Unit(("shuffled",), (Checkpoint("cnn/seed0", 3, tmp_path),), tuple(map(registry.get, measures)))


def test_refusals_are_counted_once_a_pair_and_name_the_layer_as_users_know_it(tmp_path):
    x = torch.randn(60, 3, generator=torch.Generator().manual_seed(0))
    views = {"x:a": x, "x:dead": torch.zeros(60, 2)}
    moments = Moments.of(views, utterances=[20, 20, 20])
    wanted = [("within", *pair) for pair in itertools.product(views, repeat=2)]
    comparisons, refusals, _ = compare(unit(tmp_path, ["cka", "pwcca"]), {"moments": moments}, wanted, {})
    missing = sum(math.isnan(v) for c in comparisons for v in c.similarity.values())
    assert missing == sum(r.count for r in refusals) == 6
    assert all("dead" in r.reason and "x:" not in r.reason for r in refusals)


@pytest.mark.parametrize(
    ("at", "distinct"), [(0, ["now", "final"]), (1, ["now", "final", "previous"]), (2, ["now", "previous"])]
)
def test_each_distinct_checkpoint_is_looked_at_once(tmp_path, at, distinct):
    run = [Checkpoint("cnn/seed0", step, tmp_path / f"{step}") for step in (0, 10, 20)]
    first = [u for u in plan_units({"cnn/seed0": run}, ["cka"]) if u.kind == "checkpoint"][at]
    assert list(looked_at(first)) == distinct
    layers = {role: [Layer("a", 3, 0.04, 1, "conv"), Layer("b", 3, 0.04, 1, "conv")] for role in distinct}
    wanted = list(wanted_of(first, layers))
    assert {view.partition(":")[0] for _, *views in wanted for view in views} == set(distinct)
    assert [kind for kind, *_ in wanted].count("to_final") == 2
    assert [kind for kind, *_ in wanted].count("to_previous") == (2 if at else 0)
    final = {(x, y) for kind, x, y in wanted if kind == "to_final"}
    assert final == (
        {("now:a", "now:a"), ("now:b", "now:b")} if at == 2 else {("now:a", "final:a"), ("now:b", "final:b")}
    )


def test_a_measure_of_ones_own_travels_to_the_workers(tmp_path):
    import pickle

    registry.register(Measure("svcca-90", partial(compute, variance=0.9)))
    try:
        (first, *_) = plan_units({"cnn/seed0": [Checkpoint("cnn/seed0", 0, tmp_path)]}, ["svcca-90"])
        assert pickle.loads(pickle.dumps(first)).measures[0].name == "svcca-90"
    finally:
        registry.unregister("svcca-90")
    with pytest.raises(MeasureError, match="no measure named 'svcca-90'"):
        plan_units({}, ["svcca-90"])
