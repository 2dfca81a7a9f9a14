"""N-gram models: Kneser-Ney by hand, by nltk and by KenLM; ARPA files; perplexity on AN4's transcripts."""

import csv
import gzip
import itertools
import math

import pytest
from flashlight.lib.text.decoder.kenlm import KenLM
from flashlight.lib.text.dictionary import Dictionary
from nltk.lm import KneserNeyInterpolated
from nltk.lm.preprocessing import pad_both_ends

from otoscope import StudyError, TrainingError
from otoscope.asr.decoding import NgramModel, kneser_ney, read_arpa, write_arpa
from otoscope.asr.decoding.kneser_ney import FALLBACK, adjusted_counts, estimate_discounts

TOY = [text.split() for text in ("A B C", "A B D", "B C", "C A B", "A B C", "D")]


@pytest.fixture(scope="module")
def an4(corpora_root):
    """The words of AN4's training transcripts: of three quarters of the speakers, and of the others."""
    with (corpora_root / "an4" / "transcripts.tsv").open(encoding="utf-8") as file:
        rows = [r for r in csv.DictReader(file, delimiter="\t") if r["split"] == "train"]
    speakers = sorted({r["speaker"] for r in rows})
    held_out = set(speakers[::4])
    return tuple([r["text"].split() for r in rows if (r["speaker"] in held_out) == out] for out in (False, True))


def histories(model):
    return {()}.union(*({n[:-1], n} for n in model.log_probs if len(n) < model.order and n[-1] != "</s>"))


@pytest.mark.parametrize("order", [1, 2, 3, 4, 5])
def test_probabilities_sum_to_one_after_every_history(an4, order):
    model = kneser_ney(an4[0][:200], order=order)
    assert model.order == order
    seen = sorted(histories(model))[:: 1 if order < 3 else 17]
    for history in [*seen, ("NEVER", "SEEN"), ("<s>", "NEVER")]:
        total = math.fsum(math.exp(model.log_prob(w, history)) for w in model.vocabulary)
        assert total == pytest.approx(1, abs=1e-12), history


def test_counts_below_the_highest_order_are_of_different_units_before():
    unigrams, bigrams = adjusted_counts(TOY, 2)
    # B follows A and <s>; C follows B and <s>; </s> follows C, D and B.
    assert {n[0]: c for n, c in unigrams.items()} == {"A": 2, "B": 2, "C": 2, "D": 2, "</s>": 3}
    assert bigrams["A", "B"] == 4
    trigram_tables = adjusted_counts(TOY, 3)
    assert trigram_tables[1]["A", "B"] == 2  # after <s> and C
    assert trigram_tables[1]["<s>", "A"] == 3  # nothing stands before <s>: occurrences


def test_a_bigram_model_by_hand():
    model = kneser_ney(TOY, order=2, discounts=[(0.2, 0.4, 0.6), (0.5, 0.75, 1.0)])
    # Unigrams: 11 in all; four of count 2 lose 0.4, </s> of count 3 loses 0.6, shared by 6 (5 and <unk>).
    share = (4 * 0.4 + 0.6) / 11 / 6
    c = (2 - 0.4) / 11 + share
    assert math.exp(model.log_prob("C")) == pytest.approx(c)
    assert math.exp(model.log_prob("<unk>")) == pytest.approx(share)
    # After B: C three times, D once, </s> once.
    gamma = (1.0 + 0.5 + 0.5) / 5
    assert math.exp(model.log_prob("C", ["B"])) == pytest.approx((3 - 1.0) / 5 + gamma * c)
    assert math.exp(model.log_prob("A", ["B"])) == pytest.approx(gamma * ((2 - 0.4) / 11 + share))
    assert math.exp(model.log_prob("A", ["NEVER"])) == pytest.approx((2 - 0.4) / 11 + share)


def test_discounts_follow_chen_and_goodman():
    table = {("x", str(i)): c for i, c in enumerate([1] * 20 + [2] * 10 + [3] * 6 + [4] * 3 + [9])}
    y = 20 / (20 + 2 * 10)
    assert estimate_discounts(table) == pytest.approx((1 - 2 * y * 10 / 20, 2 - 3 * y * 6 / 10, 3 - 4 * y * 3 / 6))
    assert estimate_discounts({("x",): 1}) == FALLBACK


@pytest.mark.parametrize("discount", [0.1, 0.75])
def test_one_discount_and_no_uniform_share_is_nltks_kneser_ney(discount):
    """With D off bigrams and nothing off unigrams both are plain interpolated Kneser-Ney."""
    sentences = [s for s in TOY if s]
    theirs = KneserNeyInterpolated(2, discount=discount)
    padded = [list(pad_both_ends(s, 2)) for s in sentences]
    theirs.fit(
        [[(u,) for u in s] + list(itertools.pairwise(s)) for s in padded], list(itertools.chain.from_iterable(padded))
    )
    ours = kneser_ney(sentences, order=2, discounts=[(0, 0, 0), (discount,) * 3])
    for history, word in itertools.product(["<s>", "A", "B", "C", "D"], ["A", "B", "C", "D", "</s>"]):
        assert math.exp(ours.log_prob(word, [history])) == pytest.approx(theirs.score(word, [history]), rel=1e-12)


@pytest.mark.parametrize("order", [1, 3, 5])
def test_an_arpa_file_gives_the_model_back(an4, tmp_path, order):
    model = kneser_ney(an4[0], order=order)
    write_arpa(model, tmp_path / "lm.arpa")
    back = read_arpa(tmp_path / "lm.arpa")
    assert back.log_probs.keys() == model.log_probs.keys()
    assert back.perplexity(an4[1]) == pytest.approx(model.perplexity(an4[1]), rel=1e-7)
    write_arpa(back, tmp_path / "again.arpa")
    assert (tmp_path / "again.arpa").read_bytes() == (tmp_path / "lm.arpa").read_bytes()
    with gzip.open(tmp_path / "lm.arpa.gz", "wb") as file:
        file.write((tmp_path / "lm.arpa").read_bytes())
    assert read_arpa(tmp_path / "lm.arpa.gz") == back


@pytest.mark.parametrize("order", [2, 3, 5])
def test_kenlm_reads_the_file_and_says_the_same(an4, tmp_path, order, capfd):
    model = kneser_ney(an4[0], order=order)
    write_arpa(model, tmp_path / "lm.arpa")
    words = Dictionary()
    for i, word in enumerate(w for w in (*model.vocabulary, "NEVER-SEEN") if w != "</s>"):
        words.add_entry(word, i)
    theirs = KenLM(str(tmp_path / "lm.arpa"), words)
    for sentence in [*an4[1], ["NEVER-SEEN", "SIX", "NEVER-SEEN"]]:
        state, total = theirs.start(False), 0.0
        for word in sentence:
            state, score = theirs.score(state, words.get_index(word if words.contains(word) else "<unk>"))
            total += score
        total += theirs.finish(state)[1]
        assert model.sentence_log_prob(sentence) == pytest.approx(total * math.log(10), rel=1e-5)


def test_perplexity_of_unheard_speakers_falls_with_the_order(an4):
    train, held_out = an4
    perplexities = [kneser_ney(train, order=n).perplexity(held_out) for n in (1, 2, 3)]
    assert perplexities == sorted(perplexities, reverse=True)
    assert perplexities[2] < 0.6 * perplexities[0]
    assert kneser_ney(train, order=3).perplexity(train) < perplexities[2]


def test_perplexity_by_hand():
    model = NgramModel({("A",): math.log(0.5), ("</s>",): math.log(0.25), ("<unk>",): math.log(0.25)}, {})
    assert model.perplexity([["A"]]) == pytest.approx(8**0.5)
    assert model.perplexity([["A", "NEW"], []]) == pytest.approx((2 * 4 * 4 * 4) ** 0.25)
    closed = NgramModel({("A",): math.log(0.5), ("</s>",): math.log(0.5)}, {})
    assert closed.perplexity([["NEW"]]) == math.inf


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("", r"line 0: no \\end\\"),
        ("\\data\\\nngram 1=1\n\n\\1-grams:\n-1 </s>\n", r"line 5: no \\end\\"),
        ("\\data\\\nngram 1=2\n\n\\1-grams:\n-1 </s>\n\\end\\\n", r"\{1: 2\} announced, \{1: 1\} listed"),
        ("\\data\\\nngram 1=1\n\n\\1-grams:\nhalf </s>\n\\end\\\n", "line 5: could not convert"),
        ("\\data\\\nngram 1=1\n\n\\1-grams:\n-1 A B C D\n\\end\\\n", "line 5: 5 fields for a 1-gram"),
    ],
)
def test_what_is_no_arpa_file_is_refused_with_its_line(tmp_path, content, fault):
    (tmp_path / "x.arpa").write_text(content)
    with pytest.raises(TrainingError, match=f"cannot be read as an ARPA language model: .*{fault}"):
        read_arpa(tmp_path / "x.arpa")
    with pytest.raises(TrainingError, match="cannot be read as an ARPA"):
        read_arpa(tmp_path / "missing.arpa")


def test_what_no_model_can_be_made_of_is_told():
    with pytest.raises(TrainingError, match="got none, expected at least one"):
        kneser_ney([])
    with pytest.raises(TrainingError, match=r"'GO HOME' is not a list of units. Expected words \(text.split\(\)\)"):
        kneser_ney(["GO HOME"])
    with pytest.raises(TrainingError, match="is not a list of units"):
        kneser_ney([["GO", "</s>"]])
    with pytest.raises(StudyError, match="the setting order is 6; expected a whole number of 1 to 5"):
        kneser_ney(TOY, order=6)
    with pytest.raises(StudyError, match=r"the setting discounts is .*; expected 2 triples"):
        kneser_ney(TOY, order=2, discounts=[(0.5, 1.0, 1.5)])
    with pytest.raises(TrainingError, match="lists the unigram </s>; this one of 0 does not"):
        NgramModel({}, {})
