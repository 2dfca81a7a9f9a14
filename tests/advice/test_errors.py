"""Word errors by utterance: intervals against closed forms, and what is kept on the disk."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from whisper_normalizer.english import EnglishTextNormalizer

from otoscope import StudyError, load
from otoscope.advice.prune.errors import Errors, Hearing


def errors(counts, words, clusters=None):
    clusters = np.arange(len(counts)) if clusters is None else np.array(clusters)
    return Errors(np.array(counts, dtype=float), np.array(words, dtype=float), clusters)


def test_of_equal_utterances_the_interval_is_that_of_a_mean():
    """t on n − 1 degrees of freedom with the standard error of the mean: the jackknife of a mean is exact."""
    counts = np.array([0.0, 1, 3, 2, 0, 4, 1, 1])
    rate = errors(counts, np.full(8, 5)).less([])
    each = counts / 5
    error = each.std(ddof=1) / math.sqrt(8)
    assert rate.value == pytest.approx(each.mean())
    assert rate.high - rate.value == pytest.approx(2.3646242510 * error)  # t(0.975, 7)
    assert rate.value - rate.low == pytest.approx(rate.high - rate.value)


def test_a_difference_is_of_the_same_speech():
    a, b = errors([3, 1, 4, 2], [10] * 4), errors([2, 0, 3, 1], [10] * 4)
    rise = a.less([b])
    assert rise.value == pytest.approx(0.1)
    assert rise.low == pytest.approx(rise.high)  # one more in each utterance, hard or easy


def test_utterances_of_a_speaker_are_left_out_together():
    alone = errors([5, 5, 0, 0, 1, 1], [10] * 6).less([])
    speakers = errors([5, 5, 0, 0, 1, 1], [10] * 6, clusters=[0, 0, 1, 1, 2, 2]).less([])
    assert speakers.value == alone.value
    assert speakers.high > alone.high


def test_chance_adds_what_differs_between_draws():
    own = errors([1, 2, 1, 2], [10] * 4)
    same = [errors([3, 4, 3, 4], [10] * 4)] * 3
    apart = [errors([n, n + 1, n, n + 1], [10] * 4) for n in (1, 3, 5)]
    assert own.less(same).value == pytest.approx(own.less(apart).value)
    assert own.less(same).high == pytest.approx(own.less(same).value)
    assert own.less(apart).high > own.less(apart).value + 0.1


class Heard:
    """A recogniser that hears what it is told, and counts how often it was asked."""

    def __init__(self, texts):
        self.texts, self.asked, self.frame_shift = texts, 0, 0.01

    def transcribe(self, speech):
        self.asked += len(speech)
        return [self.texts.get(one.text, one.text) for one in speech]


def test_what_was_heard_is_kept(an4_subset, tmp_path):
    speech = load(an4_subset).utterances[:6]
    path = tmp_path / "pruning.json"
    recogniser = Heard({speech[0].text: "", speech[1].text: speech[1].text.lower() + "."})
    first = Hearing(speech, "a", path)
    found = first.errors("blocks.1", lambda: recogniser)
    assert recogniser.asked == 6
    words = [len(EnglishTextNormalizer()(u.text).split()) for u in speech]
    assert found.errors.tolist() == [words[0], 0, 0, 0, 0, 0]  # case and full stops do not count
    assert first.words == sum(words)
    again = Hearing(speech, "a", path)
    assert again.errors("blocks.1", lambda: pytest.fail("asked again")).errors.tolist() == found.errors.tolist()
    for other in (Hearing(speech[:5], "a", path), Hearing(speech, "b", path)):  # other speech, another model
        assert other.errors("blocks.1", lambda: recogniser).words is not None
    assert recogniser.asked == 6 + 5 + 6
    path.write_text("{", encoding="utf-8")
    assert Hearing(speech, "a", path).errors("x", lambda: recogniser).wer == found.wer
    assert json.loads(path.read_text(encoding="utf-8"))["heard"].keys() == {"x"}


def test_what_cannot_be_scored_is_an_error(an4_subset):
    speech = load(an4_subset).utterances[:3]
    with pytest.raises(StudyError, match=r"^object writes no transcript, so that what a change costs cannot be"):
        Hearing(speech, "a").errors("x", object)
    with pytest.raises(StudyError, match="no word that could be scored"):
        Hearing([], "a")
