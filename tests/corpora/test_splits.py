"""Splits are drawn by speaker, the same way every time, and test is left alone."""

from dataclasses import replace
from pathlib import Path

import pytest

from otoscope.corpora import Corpus, Utterance, draw_splits, with_dev, with_test
from otoscope.errors import CorpusError


def test_an4_gets_a_dev_split(an4):
    corpus = with_dev(an4)
    train, dev = corpus.split("train"), corpus.split("dev")
    assert not {u.speaker for u in train} & {u.speaker for u in dev}
    assert corpus.split("test").utterances == an4.split("test").utterances
    assert [u.id for u in corpus] == [u.id for u in an4]
    assert dev.duration / (train.duration + dev.duration) == pytest.approx(0.08, abs=0.02)
    assert with_dev(an4) == corpus
    assert with_dev(an4, seed=1) != corpus
    assert with_dev(corpus) is corpus


def test_a_new_speaker_moves_few_others(an4):
    before = {u.id for u in with_dev(an4).split("dev")}
    newcomer = tuple(replace(u, id=f"new-{u.id}", speaker="newcomer") for u in an4.utterances[:12])
    after = {u.id for u in with_dev(an4.keep(an4.utterances + newcomer)).split("dev") if not u.id.startswith("new-")}
    assert len(before ^ after) < len(before)


def test_one_speaker_is_split_by_utterance():
    corpus = Corpus("solo", tuple(Utterance(f"u{k}", "ann", Path("a"), 0.0, "A", "train") for k in range(40)))
    drawn = draw_splits(corpus)
    assert {s: len(drawn.split(s)) for s in drawn.splits} == {"train": 33, "test": 4, "dev": 3}


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_small_corpora_keep_something_to_train_on(count):
    corpus = Corpus("few", tuple(Utterance(f"u{k}", f"s{k}", Path("a"), 1.0, "A", "train") for k in range(count)))
    drawn = draw_splits(corpus)
    assert len(drawn.split("train")) >= 1
    assert set(drawn.splits) == ({"train"} if count < 3 else {"train", "dev", "test"})


def test_what_cannot_be_divided():
    lone = Corpus("lone", (Utterance("u", "s", Path("a"), 1.0, "A", "train"),))
    with pytest.raises(CorpusError, match="has no 'dev' split, and its train split of 1 utterances cannot be divided"):
        with_dev(lone)
    with pytest.raises(CorpusError, match="give a number between 0 and 1"):
        with_test(lone, share=1.0)
