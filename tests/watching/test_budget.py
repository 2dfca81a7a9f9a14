"""What is left out, in which order, and that the share is kept; by costs set here, not by the clock."""

import pytest

from otoscope.watching.budget import LEVELS, Budget, products

LAYERS, MEASURES = 8, 2


def spend(budget, steps, *, seconds_a_step, probe, product):
    """A training of this plan with costs that stay; the level chosen at each step."""
    chosen = []
    for i, (before, step) in enumerate(zip([0, *steps], steps, strict=False)):
        budget.training += (step - before) * seconds_a_step
        level = budget.choose(measures=MEASURES, layers=LAYERS, earlier=i, step=step, total=steps[-1])
        if level is not None:
            count = MEASURES if level.all_measures else 1
            budget.watching += probe + product * count * products(level, LAYERS, i)
            budget.probe, budget.product[count] = probe, product * count
        chosen.append(level)
    return chosen


STEPS = [0, 8, 14, 23, 40, 68, 117, 200, 433, 667, 900, 1133, 1367, 1600]


@pytest.mark.parametrize("product", [0.001, 0.003, 0.01, 0.02, 0.04, 0.08])
def test_the_share_is_kept_whatever_comparing_costs(product):
    budget = Budget(0.05)
    chosen = spend(budget, STEPS, seconds_a_step=0.5, probe=0.5, product=product)
    assert budget.watching <= 0.05 * budget.training
    assert chosen[0] is LEVELS[0]
    assert chosen[-1] is not None, "the cost of the last was kept back"


def test_where_time_is_plenty_nothing_is_left_out():
    assert set(spend(Budget(0.05), STEPS, seconds_a_step=10, probe=0.5, product=0.001)) == {LEVELS[0]}


def test_without_a_budget_nothing_is_left_out():
    assert set(spend(Budget(None), STEPS, seconds_a_step=0, probe=9, product=9)) == {LEVELS[0]}


def test_what_costs_more_than_all_that_is_left_is_skipped():
    budget = Budget(0.05)
    assert spend(budget, STEPS, seconds_a_step=0.001, probe=5, product=1)[1:] == [None] * 13


def test_less_room_leaves_out_more_in_the_stated_order():
    def at(room):
        budget = Budget(0.05, training=room / 0.05, probe=1.0, product={2: 2.0})
        return budget.choose(measures=2, layers=2, earlier=4, step=9, total=9)

    costs = [1 + 2 * products(LEVELS[0], 2, 4), 1 + 2 * products(LEVELS[1], 2, 4), 1 + products(LEVELS[2], 2, 4), 7]
    assert costs == [43, 19, 10, 7]
    for level, cost in zip(LEVELS, costs, strict=True):
        assert at(cost + 0.01) is level
        assert at(cost - 0.01) is not level
    assert at(6.99) is None
    assert [level.left_out for level in LEVELS] == [
        (),
        ("layer × final so far",),
        ("layer × final so far", "all measures but the first"),
        ("layer × final so far", "all measures but the first", "layer × layer"),
    ]


def test_the_clock_goes_on_from_the_log():
    budget = Budget(0.05)
    with budget.spending() as began:
        sum(range(100_000))
    with budget.spending():
        row = budget.as_row(began)
    assert row["training_seconds"] + row["watching_seconds"] > 0
    budget.product = {2: 0.5}
    after = Budget(0.05)
    after.take_up({**budget.as_row(began), "watching_seconds": 3.0, "training_seconds": 90.0})
    assert (after.watching, after.training, after.product) == (3.0, 90.0, {2: 0.5})
