"""P-values and null levels by permutation."""

import numpy as np
import pytest

from otoscope.errors import MeasureError
from otoscope.measures import cca, cka, get
from otoscope.measures.inference import permutation_test
from otoscope.measures.inference.permutation import _groups, _orders

from .reference import speech


def test_the_p_value_is_counted_by_hand():
    views, lengths = speech(12, strength=0.3, length=30)
    found = permutation_test(views, "cka", "x", "y", utterances=lengths, permutations=49, seed=3)
    random, values = np.random.default_rng(3), []
    for _ in range(49):
        y = views["y"].reshape(12, 30, -1)[random.permutation(12)].reshape(360, -1)
        values.append(cka(views["x"], y, utterances=lengths).value)
    value = cka(views["x"], views["y"], utterances=lengths).value
    assert found.value == pytest.approx(value)
    assert found.p_value == (1 + sum(v >= value - 1e-12 for v in values)) / 50
    assert found.null == pytest.approx(np.mean(values), abs=1e-10)


@pytest.mark.parametrize("scheme", ["utterances", "shifts", "both"])
@pytest.mark.parametrize("name", ["cka", "cca", "procrustes"])
def test_related_layers_are_told_from_unrelated_ones(name, scheme):
    related, lengths = speech(24, phi=0.8)
    found = permutation_test(related, name, "x", "y", utterances=lengths, scheme=scheme, permutations=39)
    assert found.p_value == 1 / 40
    assert (found.value < found.null) == get(name).distance


@pytest.mark.parametrize("scheme", ["utterances", "shifts", "both"])
def test_p_values_of_unrelated_layers_are_uniform(scheme):
    p = []
    for seed in range(60):
        views, lengths = speech(16, seed=seed, strength=0.0, p=2, q=2)
        p.append(permutation_test(views, "cka", "x", "y", utterances=lengths, scheme=scheme, permutations=19).p_value)
    assert np.mean(p) == pytest.approx(0.525, abs=0.11)  # three standard errors of 60 uniform draws
    assert np.mean(np.array(p) <= 0.25) == pytest.approx(0.25, abs=0.17)


def test_the_null_level_is_what_unrelated_layers_read():
    """The same layers, of which y was drawn anew; about one utterance of sixty stays in place."""
    views, lengths = speech(60, phi=0.9, length=40)
    found = permutation_test(views, "cca", "x", "y", utterances=lengths, permutations=39, group=60)
    others = []
    for seed in range(1, 21):
        other, _ = speech(60, phi=0.9, length=40, seed=seed)
        others.append(cca(views["x"], other["y"]).value)
    assert found.value > 2.5 * found.null
    assert found.null == pytest.approx(np.mean(others), abs=0.015)


def test_measures_of_samples():
    views, lengths = speech(16, strength=3.0)
    found = permutation_test(views, "rsa", "x", "y", utterances=lengths, permutations=19)
    assert found.p_value == 0.05


def test_utterances_are_grouped_by_length():
    lengths = np.array([5, 9, 5, 8, 5, 9, 9, 9])
    assert [g.tolist() for g in _groups(lengths, 3)] == [[0, 2, 4], [1, 3, 5], [6, 7]]
    assert [len(g) for g in _groups(lengths, 16)] == [8]
    assert [g.tolist() for g in _groups(lengths, None)] == [[0, 2, 3, 4], [1, 5, 6, 7]]
    assert [len(g) for g in _groups(np.array([30, 28, 29, 30]), None)] == [4]


@pytest.mark.parametrize("scheme", ["utterances", "shifts", "both"])
def test_orders_stay_within_groups_and_utterances(scheme):
    lengths = np.array([5, 9, 5, 9, 5, 9, 9])
    groups = [np.array([0, 2, 4]), np.array([1, 3, 5, 6])]
    owner, exchanged, turned = np.repeat(np.arange(7), lengths), False, False
    for order in _orders(lengths, groups, scheme, 20, 0):
        assert sorted(order) == list(range(lengths.sum()))
        for u, frames in enumerate(np.split(order, np.cumsum(lengths)[:-1])):
            (source,) = set(owner[frames].tolist())
            assert lengths[source] == lengths[u]
            exchanged |= source != u
            turned |= bool((np.diff(frames) != 1).any())
    assert exchanged == (scheme != "shifts")
    assert turned == (scheme != "utterances")


def test_seeds():
    views, lengths = speech(20, strength=0.2)
    first, again = (permutation_test(views, "cka", "x", "y", utterances=lengths, permutations=19) for _ in range(2))
    assert first == again


def test_refusals():
    views, lengths = speech(3)
    with pytest.raises(MeasureError, match="3 utterances can be arranged in 6 ways by the scheme 'utterances'"):
        permutation_test(views, "cka", "x", "y", utterances=lengths)
    with pytest.raises(MeasureError, match="no scheme 'frames'; there are utterances, shifts, both"):
        permutation_test(views, "cka", "x", "y", utterances=lengths, scheme="frames")
    with pytest.raises(MeasureError, match="permutations is 5 and group is None; expected at least 19 permutations"):
        permutation_test(views, "cka", "x", "y", utterances=lengths, permutations=5)
    with pytest.raises(MeasureError, match="no layer 'z' in the samples"):
        permutation_test(views, "cka", "x", "z", utterances=lengths)
    unequal = [10, 10, 10, 10, 10, 500]
    x = np.random.default_rng(0).standard_normal((550, 3))
    with pytest.raises(MeasureError, match=r"10 to 500 frames in groups of up to 6 leaves 60 of 550 frames"):
        permutation_test({"x": x, "y": x}, "cka", "x", "y", utterances=unequal)
