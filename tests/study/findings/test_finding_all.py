"""What questions are put to, how verdicts come about, and the correction for many of them."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from otoscope.study.findings import QUESTIONS, find_all
from otoscope.study.findings.convergence import BOTTOM_UP
from otoscope.study.findings.depth_hierarchy import CLOSE_LAYERS
from otoscope.study.findings.evidence import Entry, Values
from otoscope.study.findings.finding import Effect, Finding
from otoscope.study.findings.finding_all import corrected
from otoscope.study.findings.question import Question, verdict_of
from tests.study.findings.constructed import Draw, study
from tests.study.findings.patterns import chain, hierarchy


def an_effect(value, error, least=0.5):
    at = (value - least) / error
    return Effect(value, value - 2 * error, value + 2 * error, 0.95, stats.norm.sf(at), stats.norm.cdf(at), error, 0.0)


@pytest.mark.parametrize(
    ("value", "error", "verdict"),
    [
        (0.9, 0.1, "holds"),
        (0.1, 0.1, "does not hold"),
        (0.5, 0.1, "not enough data"),
        (0.9, 0.5, "not enough data"),
        (math.nan, 0.1, "not enough data"),
    ],
)
def test_a_verdict_takes_an_effect_that_is_clearly_on_one_side(value, error, verdict):
    effect = an_effect(value, error)
    assert verdict_of(effect, 0.5, effect.p_above)[0] == verdict


def test_p_values_are_corrected_as_scipy_does():
    ps = [0.028, 0.4, 0.001, 0.02, 0.049]
    found = [
        Finding("F", "f", "c", f"r{i}", "cka", "holds", "", replace(an_effect(0.9, 0.1), p_above=p), p=p)
        for i, p in enumerate(ps)
    ]
    after = corrected(found)
    assert [f.corrected for f in after] == pytest.approx(stats.false_discovery_control(ps, method="bh"))
    assert [f.verdict for f in after] == ["holds", "not enough data", "holds", "holds", "not enough data"]


def test_each_measure_is_a_family_of_its_own():
    found = [
        Finding("F", "f", "c", "r", measure, "holds", "", replace(an_effect(0.9, 0.1), p_above=0.03), p=0.03)
        for measure in ("cka", "cca")
    ]
    assert [f.corrected for f in corrected(found)] == [0.03, 0.03]


def _question(scope, **changes):
    return Question(
        id="Q",
        name="q",
        claim="c",
        effect_is="x",
        least=0.0,
        read={"within": "within"} if scope not in ("seeds", "pair") else {"across": "across"},
        effect=lambda seen: float(np.mean([next(iter(s.arrays.values())).mean() for s in seen])),
        refusal=lambda seen: "",
        scope=scope,
        **changes,
    )


@pytest.fixture(scope="module")
def two_by_two():
    draw = Draw(0)

    def layers():
        return [draw.mixed((0.5, draw.speech)) for _ in range(2)]

    names = ("cnn/seed0", "cnn/seed1", "lstm/seed0", "lstm/seed1")
    return study({run: {0: layers(), 1: layers()} for run in names}, ("within", "across"))


@pytest.mark.parametrize(
    ("scope", "to", "by_run"),
    [
        ("recogniser", ["cnn", "lstm"], ["cnn/seed0", "cnn/seed1"]),
        ("against others", ["cnn", "lstm"], ["cnn/seed0", "cnn/seed1"]),
        ("seeds", ["cnn", "lstm"], ["cnn/seed0 × cnn/seed1"]),
        ("pair", ["cnn × lstm"], ["cnn/seed0 × lstm/seed0", "cnn/seed1 × lstm/seed1"]),
        ("study", ["all recognisers"], ["cnn/seed0", "cnn/seed1", "lstm/seed0", "lstm/seed1"]),
    ],
)
def test_a_question_is_put_to_what_its_scope_says(two_by_two, scope, to, by_run):
    found = find_all(two_by_two, questions=[_question(scope)])
    assert [f.of for f in found] == to
    assert list(found[0].by_run) == by_run


def test_others_are_seen_beside_each_run_but_not_counted_as_its_own(two_by_two):
    def own_less_others(seen):
        own = [s["within"].mean() for s in seen if s.own]
        return float(np.mean(own) - np.mean([s["within"].mean() for s in seen if not s.own]))

    cnn, lstm = find_all(two_by_two, questions=[replace(_question("against others"), effect=own_less_others)])
    assert cnn.effect.value == pytest.approx(-lstm.effect.value)


def test_baselines_are_the_same_effect_and_beyond_is_the_difference():
    results = hierarchy(0)
    (found,) = find_all(results, questions=[QUESTIONS[0]])
    assert set(found.baselines) == set(found.beyond) == {"untrained", "shuffled"}
    for name, baseline in found.baselines.items():
        assert found.beyond[name].value == pytest.approx(found.effect.value - baseline.value)
        assert abs(baseline.value) < 0.5
    assert found.beyond["untrained"].low > 0


def test_what_cannot_be_asked_says_why(two_by_two):
    (lacking,) = find_all(study({"cnn/seed0": {0: _two(), 1: _two()}}, ("within",)), questions=[_question("seeds")])
    assert lacking.verdict == "not enough data"
    assert "more seeds" in lacking.reason
    alone = find_all(study({"cnn/seed0": {0: _two(), 1: _two()}}, ("within",)), questions=[_question("against others")])
    assert "no other recogniser" in alone[0].reason
    (not_compared, _) = find_all(two_by_two, questions=[replace(_question("recogniser"), read={"a": "to_final"})])
    assert "no such comparison" in not_compared.reason
    (few, _) = find_all(two_by_two, questions=[QUESTIONS[0]])
    assert few.verdict == "not enough data"  # no shuffled baseline was measured


def test_a_refusal_names_the_run_and_the_reason():
    entry = Entry(("cnn/seed0",), {"within": Values(np.eye(3))})
    asked = replace(QUESTIONS[0], baselines={})
    found = asked.answer("cnn", "cka", [entry])
    assert found.verdict == "not applicable"
    assert found.reason == "cnn/seed0: 3 layers, and the order in depth takes at least 5"


def test_a_run_that_cannot_answer_is_left_out_and_named():
    draw = Draw(2)
    runs = {f"cnn/seed{s}": {0: chain(draw), 100: chain(draw)} for s in range(4)}
    results = study(runs, ("within", "shuffled"))
    bad = (results.dataset["run_x"] == "cnn/seed1") & (results.dataset["kind"] == "within")
    lacking = type(results)(results.dataset.assign(similarity=results.dataset["similarity"].where(~bad)))
    whole, rest = (find_all(r, questions=[QUESTIONS[0]], measures=["cka"])[0] for r in (results, lacking))
    assert (whole.verdict, rest.verdict) == ("holds", "holds")
    assert list(rest.by_run) == ["cnn/seed0", "cnn/seed2", "cnn/seed3"]
    assert rest.effect.value == pytest.approx(np.mean([whole.by_run[run] for run in rest.by_run]))
    assert list(rest.left_out) == ["cnn/seed1"]
    assert "left out: cnn/seed1 (" in rest.reason
    assert "similarities were not computed" in rest.reason
    assert not whole.left_out


def test_a_hierarchy_that_is_not_there_cannot_be_limited_to_close_layers():
    alike = [Values(0.5 + 0.01 * np.random.default_rng(s).random((7, 7)) + 0.5 * np.eye(7)) for s in range(3)]
    entries = [Entry((f"cnn/seed{s}",), {"within": values}) for s, values in enumerate(alike)]
    found = replace(CLOSE_LAYERS, baselines={}).answer("cnn", "cka", entries)
    assert found.verdict == "not applicable"
    assert found.reason.startswith("no hierarchy in depth that could be limited: Somers' D ")
    assert found.effect is None


def test_what_more_checkpoints_would_answer_is_not_enough_data():
    draw = Draw(2)
    runs = {f"cnn/seed{s}": {step: chain(draw) for step in (0, 50, 100)} for s in range(2)}
    (found,) = find_all(study(runs, ("to_final",)), questions=[BOTTOM_UP], measures=["cka"])
    assert found.verdict == "not enough data"
    assert "3 checkpoints, and the pace of layers takes at least 5" in found.reason


def _two():
    draw = Draw(3)
    return [draw.mixed((0.5, draw.speech)) for _ in range(2)]


def test_measures_of_distance_are_turned_round():
    """Layers far apart in depth are far apart by Procrustes distance: the same finding as by similarity."""
    draw = Draw(0)
    runs = {f"cnn/seed{s}": {0: chain(draw), 100: chain(draw)} for s in range(3)}
    results = study(runs, ("within", "shuffled"), measures=("cka", "procrustes"))
    by_cka, by_procrustes = find_all(results, questions=[QUESTIONS[0]])
    assert (by_cka.measure, by_procrustes.measure) == ("cka", "procrustes")
    assert by_procrustes.effect.value == pytest.approx(by_cka.effect.value, abs=0.1)
    assert by_procrustes.verdict == "holds"
