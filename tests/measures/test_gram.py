"""CKA from Gram matrices: the same as from covariances, and what else is asked of them is refused."""

import numpy as np
import pytest
import torch

from otoscope.errors import MeasureError
from otoscope.labelled import similarity
from otoscope.measures import Moments, gram, registry
from otoscope.measures.gram import gram_moments
from otoscope.measures.path import choose

from . import reference
from .data import index_of, normal

LENGTHS = [400, 3, 90, 1, 520, 130, 60, 300]
FRAMES = sum(LENGTHS)
MEASURES = ["cka-biased", "cka-debiased", "cka"]


def layers(dtype):
    z = normal(FRAMES, 8)
    made = {
        name: z @ normal(8, p, seed=p) + normal(FRAMES, p, seed=p + 1) for name, p in (("a", 30), ("b", 17), ("c", 41))
    }
    made["b"] = made["b"] * 1e-6
    made["c"] = made["c"] + 1000
    return {name: x.to(dtype) for name, x in made.items()}


def from_gram(views, utterances):
    names = list(views)
    return gram_moments(views, utterances=utterances, pairs=[(x, y) for x in names for y in names if x <= y])


@pytest.mark.parametrize("tile", [384, 50])
@pytest.mark.parametrize(("dtype", "near"), [(torch.float64, 1e-10), (torch.float32, 2e-6)])
def test_agrees_with_the_definition(monkeypatch, dtype, near, tile):
    monkeypatch.setattr(gram, "TILE", tile)
    monkeypatch.setattr(gram, "BLOCK", 3 * tile)
    views, index = layers(dtype), index_of(LENGTHS)
    moments = from_gram(views, LENGTHS)
    for name, estimator in zip(MEASURES, ("biased", "debiased", "cross-utterance"), strict=True):
        for x, y in (("a", "b"), ("c", "a"), ("b", "c")):
            expected = reference.cka(views[x].double(), views[y].double(), estimator=estimator, index=index)
            assert registry.get(name).compute(moments, x, y).value == pytest.approx(expected, abs=near), (name, x, y)


def test_utterances_in_any_order_and_none():
    views, index = layers(torch.float64), index_of(LENGTHS)
    order = np.random.default_rng(0).permutation(FRAMES)
    found = from_gram({name: x[order] for name, x in views.items()}, index[order])
    expected = Moments.of(views, utterances=LENGTHS)
    for x, y in (("a", "b"), ("c", "a")):
        assert registry.get("cka").compute(found, x, y).value == pytest.approx(
            registry.get("cka").compute(expected, x, y).value, abs=1e-10
        )
    plain = registry.get("cka").compute(from_gram(views, None), "a", "b")
    assert plain.estimator == "debiased"
    assert plain.value == pytest.approx(registry.get("cka-debiased").compute(expected, "a", "b").value, abs=1e-10)


def test_one_call_takes_the_cheaper_way():
    """Few frames of many units go by Gram matrices; the numbers do not depend on it."""
    views = {f"layer{i}": normal(80, 150, seed=i).float() for i in range(3)}
    pairs = [(x, y) for x in views for y in views]
    widths = dict.fromkeys(views, 150)
    assert choose(80, widths, pairs, MEASURES).name == "gram"
    assert choose(80, widths, pairs, [*MEASURES, "svcca"]).name == "covariance"
    assert choose(8000, widths, pairs, MEASURES).name == "covariance"
    alone = similarity(views, measure=MEASURES, utterances=[30, 50])
    among = similarity(views, measure=[*MEASURES, "bures"], utterances=[30, 50])
    for name in MEASURES:
        assert np.allclose(alone[name], among[name], atol=1e-6)
        assert alone[name].attrs == among[name].attrs


def test_what_needs_covariances_is_refused():
    moments = from_gram(layers(torch.float64), LENGTHS)
    for name in ("cca", "bures", "svcca"):
        with pytest.raises(MeasureError, match="only what CKA needs of the pair"):
            registry.get(name).compute(moments, "a", "b")


def test_a_constant_layer_is_named():
    views = {**layers(torch.float32), "dead": torch.full((FRAMES, 5), 3.0)}
    with pytest.raises(MeasureError, match="layer 'dead' is constant"):
        registry.get("cka").compute(from_gram(views, LENGTHS), "a", "dead")


def test_frames_that_are_silent_at_first():
    """A layer's size is that of all its frames: fourth powers of what comes later stay within float32."""
    z = normal(FRAMES, 30).float()
    views = {"a": z.clone(), "b": z + normal(FRAMES, 30, seed=1).float()}
    for x in views.values():
        x[:400] *= 1e-3
        x[400:] *= 1e12
    expected = reference.cka(*(x.double() for x in views.values()), estimator="biased")
    assert registry.get("cka-biased").compute(from_gram(views, None), "a", "b").value == pytest.approx(
        expected, abs=2e-6
    )
