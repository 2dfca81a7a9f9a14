"""Output tokens: characters and sentencepiece units, on AN4's transcripts."""

import csv
import pickle
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otoscope import StudyError, TrainingError
from otoscope.asr.tokens import BLANK, CharacterTokens, PieceTokens, tokens_from


@pytest.fixture(scope="module")
def transcripts(corpora_root):
    with (corpora_root / "an4" / "transcripts.tsv").open(encoding="utf-8") as file:
        return [r["text"] for r in csv.DictReader(file, delimiter="\t") if r["split"] == "train"]


@pytest.fixture(scope="module", params=["characters", "unigram", "bpe"])
def tokens(request, transcripts):
    if request.param == "characters":
        return CharacterTokens.of(transcripts)
    return PieceTokens.train(transcripts, size=64, algorithm=request.param)


def test_every_transcript_comes_back_word_for_word(tokens, transcripts):
    for text in transcripts:
        indices = tokens.encode(text)
        assert BLANK not in indices
        assert max(indices) < len(tokens)
        assert tokens.decode(indices) == text


def test_blanks_between_tokens_are_no_text(tokens):
    text = "RUBOUT SIX ONE"
    assert tokens.decode([i for t in tokens.encode(text) for i in (BLANK, t, BLANK)]) == text


def test_tokens_come_back_from_what_a_checkpoint_stores(tokens):
    back = tokens_from(tokens.to_dict())
    assert back == tokens
    assert back.encode("NINE TWO") == tokens.encode("NINE TWO")
    assert pickle.loads(pickle.dumps(tokens)) == tokens


def test_a_plain_list_of_characters_is_how_checkpoints_held_them_at_first():
    assert tokens_from([" ", "A"]) == CharacterTokens((" ", "A"))


def test_unknown_kinds_of_tokens_are_refused():
    with pytest.raises(TrainingError, match="of kind 'phones'; expected one of"):
        tokens_from({"kind": "phones"})


def test_symbols_are_distinct_and_have_no_white_space(tokens):
    symbols = [tokens.symbol(i) for i in range(len(tokens))]
    assert len(set(symbols)) == len(symbols)
    assert not any(c.isspace() for s in symbols for c in s)


def test_a_character_outside_the_training_text_is_named(tokens):
    with pytest.raises(KeyError, match="Ä"):
        tokens.encode("SÄX")


@pytest.mark.parametrize("algorithm", ["unigram", "bpe"])
def test_pieces_do_not_depend_on_the_order_of_the_texts(transcripts, algorithm):
    first, again = (PieceTokens.train(t, size=80, algorithm=algorithm) for t in (transcripts, transcripts[::-1]))
    assert first.model == again.model
    assert len(first) == 80
    assert first != PieceTokens.train(transcripts[:400], size=80, algorithm=algorithm)


def test_pieces_are_fewer_than_characters(transcripts):
    pieces, characters = PieceTokens.train(transcripts, size=100), CharacterTokens.of(transcripts)
    counts = [sum(len(t.encode(text)) for text in transcripts) for t in (pieces, characters)]
    assert counts[0] < 0.7 * counts[1]


@given(st.lists(st.sampled_from(["ENTER", "SIX", "TWENTY", "RUBOUT", "A", "X"]), min_size=1, max_size=6))
def test_words_keep_their_borders_whatever_pieces_they_are_cut_into(words):
    tokens = PieceTokens.train(["ENTER SIX", "TWENTY RUBOUT", "A X ENTER"], size=24, algorithm="bpe")
    text = " ".join(words)
    assert tokens.decode(tokens.encode(text)) == text
    # Words are cut by themselves: a word's pieces do not depend on its neighbours.
    assert tokens.encode(text) == [t for word in words for t in tokens.encode(word)]


def test_sizes_that_cannot_be_are_told(transcripts):
    with pytest.raises(TrainingError, match=r"cannot make 5000 unigram pieces of these texts.*Ask for fewer"):
        PieceTokens.train(transcripts, size=5000)
    with pytest.raises(StudyError, match="the setting size is 0"):
        PieceTokens.train(transcripts, size=0)
    with pytest.raises(StudyError, match="the setting algorithm is 'wordpiece'"):
        PieceTokens.train(transcripts, algorithm="wordpiece")


def test_without_sentencepiece_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "sentencepiece", None)
    with pytest.raises(TrainingError, match=r"pip install 'otoscope\[sentencepiece\]'"):
        PieceTokens.train(["A B"], size=8)
