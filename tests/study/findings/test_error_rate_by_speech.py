"""Agreement and word errors by block of speech, by hand and on constructed representations."""

from __future__ import annotations

import math

import numpy as np
import pytest

from otoscope.study.findings.error_rate_by_speech import ERRORS_AND_AGREEMENT, agreement_of_blocks, errors_of_blocks
from otoscope.study.findings.evidence import Entry, Values
from otoscope.study.findings.finding_all import find_all
from otoscope.study.results import CheckpointRow, Comparison, LayerRow, Results, UtteranceRow
from tests.study.findings.constructed import recognised
from tests.study.findings.patterns_seeds_and_errors import PATTERNS

DRAWS = 4
RUNS = ("cnn/seed0", "cnn/seed1")


def by_hand(values, words, errors):
    """Two layers whose similarity is the mean over blocks of `values`, weighed by their words."""
    values, words = np.array(values, dtype=float), np.array(words)
    whole = (values * words).sum() / words.sum()
    left = (whole * words.sum() - values * words) / (words.sum() - words)
    rows = [
        Comparison(
            "across", RUNS[0], 0, f"layer{i}", RUNS[1], 0, f"layer{j}", {"cka": whole if i == j else 0.0},
            left_out={"cka": (left if i == j else 0 * left).tolist()},
        )
        for i in range(2)
        for j in range(2)
    ]  # fmt: skip
    layers = [LayerRow(run, f"layer{i}", 8, 0.04) for run in RUNS for i in range(2)]
    results = Results.from_rows(rows, [CheckpointRow(run, 0) for run in RUNS], layers)
    told = [
        UtteranceRow(run, f"u{b}", int(e), int(w), "test", b)
        for run in RUNS
        for b, (e, w) in enumerate(zip(errors, words, strict=True))
        if w
    ]
    return recognised(results, told)


def test_of_a_mean_over_blocks_each_blocks_own_value_comes_back():
    values, words = [0.2, 0.5, 0.9, 0.4], [10, 30, 20, 40]
    results = by_hand(values, words, [1, 3, 0, 8])
    assert agreement_of_blocks(results, RUNS, "cka") == pytest.approx(values, abs=1e-5)  # kept in half precision
    assert errors_of_blocks(results, RUNS, "cka") == pytest.approx([0.1, 0.1, 0.0, 0.2])


def test_the_errors_of_both_runs_count():
    results = by_hand([0.2, 0.5, 0.9], [10, 10, 10], [1, 3, 0])
    rows = [UtteranceRow(run, f"u{b}", 2 * b if run == RUNS[0] else 0, 10, "test", b) for run in RUNS for b in range(3)]
    assert errors_of_blocks(recognised(results, rows), RUNS, "cka") == pytest.approx([0.0, 0.1, 0.2])


def test_a_block_without_words_is_told_nothing_of():
    results = by_hand([0.2, 0.5, 0.9], [10, 10, 0], [1, 3, 0])
    assert math.isnan(errors_of_blocks(results, RUNS, "cka")[2])
    assert math.isnan(agreement_of_blocks(results, RUNS, "cka")[2])


def blocks(agreement, wer):
    return Entry(RUNS, {"agreement": Values(agreement), "wer": Values(wer), "weights": Values(np.ones(len(wer)))})


def test_the_order_of_the_blocks_is_the_effect():
    x = np.linspace(0.1, 0.9, 20)
    for wer, effect in ((1 - x, 1.0), (x**3, -1.0)):
        found = ERRORS_AND_AGREEMENT.answer("cnn", "cka", [blocks(x, wer)])
        assert found.effect.value == pytest.approx(effect)
        assert found.effect.error_speech == pytest.approx(0)  # no weights change a perfect order


@pytest.mark.parametrize("count", [20, 60])
def test_the_error_over_blocks_is_that_of_a_correlation(count):
    """Of unrelated values: 1/√(n − 1), on average over studies."""
    random = np.random.default_rng(0)
    errors = [
        ERRORS_AND_AGREEMENT.answer("cnn", "cka", [blocks(*random.standard_normal((2, count)))]).effect.error_speech
        for _ in range(40)
    ]
    assert np.sqrt(np.mean(np.square(errors))) == pytest.approx(1 / math.sqrt(count - 1), rel=0.1)


def test_the_same_speech_counts_alike_for_all_pairs():
    """Two pairs that saw the same are as unsure as one: they heard no other speech."""
    x, wer = np.random.default_rng(1).standard_normal((2, 30))
    once = ERRORS_AND_AGREEMENT.answer("cnn", "cka", [blocks(x, wer)])
    twice = ERRORS_AND_AGREEMENT.answer("cnn", "cka", [blocks(x, wer)] * 2)
    assert twice.effect.error_speech == pytest.approx(once.effect.error_speech)


@pytest.mark.parametrize(
    ("agreement", "wer", "reason", "verdict"),
    [
        (
            np.arange(9.0),
            np.arange(9.0),
            "9 blocks of speech with words and similarities, and it takes at least 10",
            "not enough data",
        ),
        (np.arange(12.0), np.zeros(12), "the word error rate is 0% on every block of speech", "not applicable"),
        (np.array(np.nan), np.array(np.nan), "no speech was left out: set intervals = true", "not applicable"),
    ],
)
def test_what_blocks_cannot_tell_is_refused(agreement, wer, reason, verdict):
    entry = Entry(RUNS, {"agreement": Values(agreement), "wer": Values(wer), "weights": Values(np.ones(12))})
    found = ERRORS_AND_AGREEMENT.answer("cnn", "cka", [entry])
    assert (found.verdict, found.reason) == (verdict, f"cnn/seed0 × cnn/seed1: {reason}")


def test_a_study_without_errors_by_utterance_says_so():
    results = by_hand([0.2, 0.5, 0.9], [10, 10, 10], [1, 3, 0])
    names = [name for name in results.dataset.variables if str(name).startswith("utterance")]
    found, *_ = find_all(Results(results.dataset.drop_vars([*names, "run"])), questions=[ERRORS_AND_AGREEMENT])
    assert found.verdict == "not enough data"
    assert "utterance by utterance" in found.reason


@pytest.mark.parametrize(("built_in", "verdict"), [(True, "holds"), (False, "does not hold")])
def test_the_pattern_is_found_where_it_is_built_in_and_only_there(built_in, verdict):
    build = PATTERNS["F9-speech"][0 if built_in else 1]
    found = [find_all(build(seed), questions=[ERRORS_AND_AGREEMENT])[0] for seed in range(DRAWS)]
    assert [f.verdict for f in found].count(verdict) >= DRAWS - 1, [f.reason for f in found]
