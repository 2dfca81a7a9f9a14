"""Measures by name."""

from functools import partial

import pytest

from otoscope.errors import MeasureError
from otoscope.labelled import similarity
from otoscope.measures import Measure, Moments, Samples, cca, cka, get, names, pwcca, register, registry, svcca
from otoscope.measures.svcca import compute

from .data import normal, related


def test_names():
    assert {"cka", "cka-debiased", "cka-biased", "cca", "svcca", "pwcca"} <= set(names())
    assert not get("pwcca").symmetric
    with pytest.raises(MeasureError, match="no measure named 'no-such'; there are"):
        get("no-such")


@pytest.mark.parametrize("measure", [cka, cca, svcca, pwcca])
def test_every_function_has_its_registered_measure(measure):
    x, y = related(200, 6, 5)
    result = get(measure.__name__).compute(Moments.of({"x": x, "y": y}), "x", "y")
    assert result == measure(x, y)
    assert (result.measure, result.frames, result.units, float(result)) == (
        measure.__name__, 200, (6, 5), result.value
    )  # fmt: skip


@pytest.mark.parametrize("name", names())
def test_every_measure_says_what_it_needs(name):
    x, y = related(200, 6, 6)
    measure = get(name)
    source = Samples if measure.source == "samples" else Moments
    views = {"x": x, "y": y, "input": normal(200, 3, seed=9)}
    result = measure.compute(source.of(views, utterances=[20] * 10), "x", "y")
    assert measure.needs
    assert (measure.name, result.measure) == (name, name)


def test_a_measure_of_ones_own():
    register(Measure("svcca-50", partial(compute, variance=0.5)))
    try:
        x, y = related(200, 6, 5)
        found = similarity({"x": x, "y": y}, measure="svcca-50")
        assert float(found[0, 1]) == pytest.approx(svcca(x, y, variance=0.5).value)
        with pytest.raises(MeasureError, match="'svcca-50' is registered already"):
            register(Measure("svcca-50", compute))
    finally:
        registry.unregister("svcca-50")
