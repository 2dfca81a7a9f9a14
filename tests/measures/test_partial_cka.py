"""CKA with a third layer's similarity regressed out."""

import math

import pytest
import torch

from otoscope.errors import MeasureError
from otoscope.measures import Moments, cka, get, partial_cka

from . import reference
from .data import autoregressive, index_of, normal, related

LENGTHS = [40, 7, 1, 60, 40, 25, 12, 15]
FRAMES = sum(LENGTHS)

every_estimator = pytest.mark.parametrize("estimator", ["biased", "debiased", "cross-utterance"])


def three(p=12, q=9, r=7, seed=0):
    x, y = related(FRAMES, p, q, seed=seed)
    return x, y, x[:, :1] @ normal(1, r, seed=seed + 8) + normal(FRAMES, r, seed=seed + 9)


@every_estimator
@pytest.mark.parametrize("shape", [(12, 9, 7), (5, 20, 3), (1, 8, 1), (20, 20, 30)])
def test_against_regressed_gram_matrices(estimator, shape):
    x, y, given = three(*shape)
    utterances = LENGTHS if estimator == "cross-utterance" else None
    expected = reference.partial_cka(x, y, given, estimator=estimator, index=index_of(LENGTHS))
    found = partial_cka(x, y, given, estimator=estimator, utterances=utterances)
    assert found.value == pytest.approx(expected, rel=1e-8)
    assert found.estimator == estimator
    assert found.null == 0 or (estimator == "biased" and math.isnan(found.null))


def test_layers_alike_through_their_input_only():
    """Slow input, and two layers that add noise of their own to different maps of it."""
    values = []
    for draw in range(5):
        speech, a, b = (autoregressive(30, 100, 16, 0.9, seed=10 * draw + k) for k in range(3))
        x, y = torch.cat([speech, a], 1), torch.cat([speech, b], 1)
        values.append(
            [m.value for m in (cka(x, y, utterances=[100] * 30), partial_cka(x, y, speech, utterances=[100] * 30))]
        )
    plain, partial = (sum(v) / 5 for v in zip(*values, strict=True))
    assert plain > 0.4
    assert abs(partial) < 0.02


def test_what_is_shared_beyond_the_input_stays():
    speech, own, a, b = (normal(2000, 16, seed=k) for k in range(4))
    x, y = torch.cat([speech, own, a], 1), torch.cat([speech, own, b], 1)
    assert cka(x, y).value == pytest.approx(2 / 3, abs=0.02)
    assert partial_cka(x, y, speech).value == pytest.approx(0.5, abs=0.02)


def test_an_unrelated_layer_changes_nothing():
    x, y = (torch.cat([z] * 8) + normal(8 * FRAMES, z.shape[1], seed=4) for z in related(FRAMES, 6, 5))
    assert partial_cka(x, y, normal(8 * FRAMES, 5, seed=7)).value == pytest.approx(cka(x, y).value, abs=2e-3)


def test_registered_by_the_name_input():
    x, y, given = three()
    moments = Moments.of({"a": x, "b": y, "input": given}, utterances=LENGTHS)
    expected = partial_cka(x, y, given, utterances=LENGTHS).value
    assert get("cka-partial").compute(moments, "a", "b").value == pytest.approx(expected, abs=1e-12)
    assert get("cka-partial").compute(moments, "b", "a").value == pytest.approx(expected, abs=1e-12)
    assert get("cka-partial").compute(moments, "a", "a").value == pytest.approx(1, abs=1e-12)


def test_refusals():
    x, y, given = three()
    with pytest.raises(MeasureError, match="regresses out the layer 'input', which is not among x, y; add its frames"):
        get("cka-partial").compute(Moments.of({"x": x, "y": y}), "x", "y")
    with pytest.raises(MeasureError, match="layer 'y' has the same geometry as 'given'"):
        partial_cka(x, 3 * given + 1, given)
    some = Moments.of({"x": x, "y": y, "input": given}, pairs=[("x", "y"), ("y", "input")])
    with pytest.raises(MeasureError, match="pair 'x', 'input' was not kept"):
        get("cka-partial").compute(some, "x", "y")
    with pytest.raises(MeasureError, match="layer 'given' is constant"):
        partial_cka(x, y, torch.ones(FRAMES, 3))
    with pytest.raises(MeasureError, match="cross-utterance CKA needs moments that keep utterances"):
        partial_cka(x, y, given, estimator="cross-utterance")
