"""F10 tells findings that every way leads to from those that hang on measure or speech."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from otoscope.study.findings.depth_hierarchy import DEPTH_HIERARCHY
from otoscope.study.findings.evidence import Values
from otoscope.study.findings.finding import Finding
from otoscope.study.findings.finding_all import find_all
from otoscope.study.findings.question import Question
from otoscope.study.findings.reading import WITHIN, few_layers
from otoscope.study.findings.robustness import Alternative, _with_blocks, agreeing, robust
from tests.study.findings.constructed import Draw, study
from tests.study.findings.patterns_robustness import NOISY, PATTERNS, with_probe

DRAWS = 3

MEAN = Question(
    id="F1-mean",
    name="alike on the whole",
    claim="two layers share half of what they do",
    effect_is="mean similarity of different layers",
    least=0.5,
    read=WITHIN,
    effect=lambda runs: float(np.mean([run["within"][0, 1] for run in runs])),
    refusal=few_layers(2),
)
"""A question whose answer can be read off two layers."""


def pair_of_layers(seed, share, *, runs=2, measures=("cka",)):
    """Runs of two layers that share a part of their variance, on speech of this seed."""
    draw = Draw(seed)

    def layers():
        return [draw.mixed((share, draw.speech)) for _ in range(2)]

    return study({f"cnn/seed{s}": {0: layers(), 9: layers()} for s in range(runs)}, ("within",), measures=measures)


@pytest.mark.parametrize(("built_in", "verdict"), [(True, "holds"), (False, "does not hold")])
def test_a_hierarchy_is_robust_where_it_is_in_all_units_and_in_all_speech(built_in, verdict):
    found = []
    for seed in range(DRAWS):
        results = PATTERNS["F10-F1"][0 if built_in else 1](seed)
        first = find_all(results, questions=[DEPTH_HIERARCHY], measures=["cka"])
        assert [f.verdict for f in first if f.id == "F1"] == ["holds"]
        found += robust(results, [f for f in first if f.id == "F1"], [DEPTH_HIERARCHY])
    assert [f.verdict for f in found].count(verdict) >= DRAWS - 1
    ways = ["cka", "cka-biased", "cca", f"cka on {NOISY}"]
    assert list(found[0].details) == [*ways, "agreeing: estimators", "agreeing: measures", "agreeing: noise"]
    assert found[0].id == "F10-F1"
    assert found[0].of == "cnn"


def test_the_effect_is_the_share_of_ways_on_the_same_side():
    assert agreeing([0.9, 0.8, 0.7, 0.2, 0.51], least=0.5) == 0.75
    assert agreeing([0.1, 0.8, 0.2], least=0.5) == 0.5
    assert agreeing([0.9, math.nan, 0.8], least=0.5) == 0.5  # one that is not defined is on neither side
    assert agreeing([0.1, math.nan, 0.2], least=0.5) == 0.5
    assert math.isnan(agreeing([math.nan, 0.8], least=0.5))


def test_a_finding_that_does_not_hold_is_robust_where_it_holds_nowhere():
    results = with_probe(pair_of_layers(0, 0.3, runs=4), NOISY, pair_of_layers(1, 0.3, runs=4))
    (found,) = robust(results, find_all(results, questions=[MEAN]), [MEAN])
    assert found.verdict == "holds"
    assert found.effect.value == 1
    assert 0 < found.details[f"cka on {NOISY}"] < 0.5


def test_ways_are_told_apart_by_what_is_other_in_them():
    about = {"noisy": {"noise": "babble", "grid": 1}, "coarse": {"noise": None, "grid": 2}, "half": {"grid": 1}}
    first = Alternative("cka")
    kinds = {way: way.kind(first, about) for way in (
        Alternative("cka-biased"), Alternative("cca"), *(Alternative("cka", name) for name in about)
    )}  # fmt: skip
    assert list(kinds.values()) == ["estimators", "measures", "noise", "frame grids", "speech"]
    assert Alternative("cka-biased").kind(Alternative("cca"), about) == "measures"


def test_a_finding_at_its_threshold_is_not_certainly_robust():
    """Both ways read about 0.5: which side each falls on is chance, and the interval says so."""
    results = with_probe(pair_of_layers(0, 0.5, runs=3), NOISY, pair_of_layers(1, 0.5, runs=3))
    on = [results, results.of_probe(NOISY)]
    read = [np.mean([r.within(run, 9, "cka").values[0, 1] for run in r.runs]) for r in on]
    at = replace(MEAN, least=float(np.mean(read)))
    (found,) = robust(results, find_all(results, questions=[at]), [at])
    assert found.verdict == "not enough data"
    assert found.effect.high - found.effect.low > 0.5


def test_ways_that_lead_to_no_answer_are_named_and_not_counted():
    """pwcca was refused for one run: it neither agrees nor disagrees."""
    results = with_probe(
        pair_of_layers(0, 0.8, measures=("cka", "cca", "pwcca")),
        NOISY,
        pair_of_layers(1, 0.8, measures=("cka", "cca", "pwcca")),
    )
    refused = (results.dataset["run_x"] == "cnn/seed1") & (results.dataset["measure"] == "pwcca")
    data = results.dataset.assign(similarity=results.dataset["similarity"].where(~refused))
    results = type(results)(data)
    (found,) = robust(results, find_all(results, questions=[MEAN], measures=["cka"]), [MEAN])
    assert found.effect.value == 1
    assert math.isnan(found.details["pwcca"])
    assert found.details["cca"] > 0.5
    assert "no answer by pwcca (4 similarities were not computed)" in found.reason


def test_questions_of_word_errors_are_put_to_the_main_probe_set_alone():
    results = with_probe(pair_of_layers(0, 0.8), NOISY, pair_of_layers(1, 0.8))
    of_errors = replace(MEAN, id="F9-mean")
    (found,) = robust(results, find_all(results, questions=[of_errors]), [of_errors])
    assert found.verdict == "not applicable"
    assert list(found.details) == ["cka"]


def test_without_another_way_it_is_not_applicable():
    results = pair_of_layers(0, 0.8)
    (found,) = robust(results, find_all(results, questions=[MEAN]), [MEAN])
    assert found.verdict == "not applicable"
    assert "one measure and one probe set" in found.reason


def test_of_a_finding_without_an_effect_there_is_nothing_to_ask():
    results = pair_of_layers(0, 0.8, measures=("cka", "cca"))
    none = Finding(MEAN.id, MEAN.name, "", "cnn", "cka", "not applicable", "too few layers")
    (found,) = robust(results, [none], [MEAN])
    assert (found.verdict, found.effect) == ("not applicable", None)
    assert "too few layers" in found.reason
    assert robust(results, [], [MEAN]) == []


def test_speech_of_fewer_blocks_keeps_its_spread():
    values = Values(np.zeros((2, 2)), np.random.default_rng(0).standard_normal((7, 2, 2)))
    more = _with_blocks(values, 12)
    assert more.left_out.shape == (12, 2, 2)
    np.testing.assert_allclose((more.spreads**2).sum(0), (values.spreads**2).sum(0))
    assert _with_blocks(values, 7) is values
