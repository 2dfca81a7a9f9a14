"""CTC beam search against sums over every alignment; with n-grams; on a small recogniser trained on real speech."""

import itertools
import math
import sys
from pathlib import Path

import pytest
import torch

from otoscope import StudyError, TrainingError, load
from otoscope.asr import ReferenceRecogniser, log_mel, pad, score
from otoscope.asr.decoding import BeamSearch, greedy, kneser_ney, tune, write_arpa
from otoscope.asr.models.cnn import CnnConfig
from otoscope.asr.objectives import ctc_loss
from otoscope.asr.tokens import CharacterTokens, PieceTokens
from otoscope.corpora import read_audio

TOKENS = CharacterTokens((" ", "A", "B"))
TEXTS = ["A AB", "AB BB", "AB A", "BB AB", "AB", "A"]
WORDS = ["A", "AB", "BB", "ABA"]
WIDE = {"beam_size": 5000, "threshold": 1e3}


def random_log_probs(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).mul(1.5).log_softmax(-1)


def by_every_alignment(log_probs, tokens):
    """log p of every text: CTC's sum, path by path."""
    paths = {}
    for path in itertools.product(range(log_probs.shape[1]), repeat=len(log_probs)):
        merged = [t for t, _ in itertools.groupby(path) if t != 0]
        text = " ".join(tokens.decode([t for t in merged if t != 0]).split())
        paths.setdefault(text, []).append(math.fsum(log_probs[i, t].item() for i, t in enumerate(path)))
    return {text: torch.tensor(scores).double().logsumexp(0).item() for text, scores in paths.items()}


@pytest.mark.parametrize("seed", range(3))
def test_a_beam_that_holds_everything_is_the_sum_over_every_alignment(seed):
    log_probs = random_log_probs(1, 5, 4, seed=seed)
    expected = by_every_alignment(log_probs[0], TOKENS)
    found = BeamSearch(TOKENS, **WIDE).n_best(log_probs, torch.tensor([5]), n=1000)[0]
    assert {h.text: pytest.approx(h.score, abs=1e-5) for h in found} == expected
    assert [h.score for h in found] == sorted((h.score for h in found), reverse=True)
    assert all(h.acoustic == h.score and h.language == 0 for h in found)


@pytest.mark.parametrize("seed", range(3))
def test_a_lexicon_leaves_its_words_only_with_the_same_probabilities(seed):
    log_probs = random_log_probs(1, 6, 4, seed=seed)
    expected = by_every_alignment(log_probs[0], TOKENS)
    found = BeamSearch(TOKENS, lexicon=WORDS, **WIDE).n_best(log_probs, torch.tensor([6]), n=1000)[0]
    within = {t: s for t, s in expected.items() if set(t.split()) <= set(WORDS)}
    assert {h.text: pytest.approx(h.score, abs=1e-5) for h in found} == within


@pytest.mark.parametrize("seed", range(3))
def test_the_score_is_that_of_ctc_plus_the_weighed_n_gram_plus_the_bonus(seed):
    log_probs = random_log_probs(1, 6, 4, seed=seed)
    expected = by_every_alignment(log_probs[0], TOKENS)
    model = kneser_ney([t.split() for t in TEXTS], order=3)
    search = BeamSearch(TOKENS, lexicon=WORDS, language_model=model, lm_weight=0.7, word_bonus=0.3, **WIDE)
    found = search.n_best(log_probs, torch.tensor([6]), n=1000)[0]
    assert len(found) > 10
    for h in found:
        language = model.sentence_log_prob(h.text.split())
        assert h.language == pytest.approx(language, abs=1e-4)
        assert h.acoustic == pytest.approx(expected[h.text], abs=1e-4)
        assert h.score == pytest.approx(expected[h.text] + 0.7 * language + 0.3 * len(h.text.split()), abs=1e-4)


def test_an_open_search_takes_n_grams_of_tokens():
    log_probs = random_log_probs(1, 5, 3, seed=4)
    tokens = CharacterTokens(("A", "B"))
    texts = ["ABAB", "AAB", "BBA", "AB"]
    search = BeamSearch.of_text(tokens, texts, order=3, open_vocabulary=True, lm_weight=0.4, **WIDE)
    model = kneser_ney([list(t) for t in texts], order=3)
    expected = by_every_alignment(log_probs[0], tokens)
    for h in search.n_best(log_probs, torch.tensor([5]), n=1000)[0]:
        assert h.score == pytest.approx(expected[h.text] + 0.4 * model.sentence_log_prob(list(h.text)), abs=1e-4)


@pytest.mark.parametrize("seed", range(5))
def test_a_beam_of_one_follows_the_best_token_of_each_frame(seed):
    log_probs, lengths = random_log_probs(4, 40, 4, seed=seed), torch.tensor([40, 33, 7, 1])
    assert BeamSearch(TOKENS, beam_size=1).decode(log_probs, lengths) == greedy(log_probs, lengths, TOKENS)


@pytest.mark.parametrize("open_vocabulary", [True, False])
def test_a_language_model_of_weight_0_is_none(open_vocabulary):
    log_probs, lengths = random_log_probs(3, 20, 4), torch.tensor([20, 15, 4])
    search = BeamSearch.of_text(TOKENS, TEXTS, order=2, open_vocabulary=open_vocabulary).weighted(lm_weight=0)
    words = None if open_vocabulary else {w for t in TEXTS for w in t.split()}
    without = BeamSearch(TOKENS, lexicon=words).n_best(log_probs, lengths)
    for ours, theirs in zip(search.n_best(log_probs, lengths), without, strict=True):
        assert [h.text for h in ours] == [h.text for h in theirs]
        assert [h.score for h in ours] == pytest.approx([h.score for h in theirs], abs=1e-9)


@pytest.mark.parametrize("lexicon", [None, WORDS])
def test_neither_padding_nor_company_changes_a_text(lexicon):
    log_probs, lengths = random_log_probs(3, 30, 4), torch.tensor([30, 11, 0])
    search = BeamSearch(TOKENS, lexicon=lexicon)
    together = search.n_best(log_probs, lengths)
    for row, n, found in zip(log_probs, lengths.tolist(), together, strict=True):
        assert search.n_best(row[None, :n], torch.tensor([n]))[0] == found
    assert together[2][0].text == ""


def test_words_without_a_separator_are_whole_utterances():
    """A corpus of single words has no space among its tokens."""
    tokens = CharacterTokens(("A", "B"))
    log_probs = random_log_probs(1, 5, 3)
    found = BeamSearch(tokens, lexicon=["A", "BB", "AB"], **WIDE).n_best(log_probs, torch.tensor([5]))[0]
    expected = by_every_alignment(log_probs[0], tokens)
    assert {h.text: pytest.approx(h.score, abs=1e-5) for h in found} == {t: expected[t] for t in ("", "A", "BB", "AB")}


class TestPieces:
    """Words of sentencepiece units: one may end a word and be repeated by the next frame."""

    TEXTS = ("AB AB", "BA", "AB BA", "A BAB", "BAB")

    @pytest.fixture
    def tokens(self):
        tokens = PieceTokens.train(self.TEXTS, size=6, algorithm="bpe")
        assert len({tokens.decode(tokens.encode(w)) for t in self.TEXTS for w in t.split()}) == 4
        return tokens

    @pytest.mark.parametrize("seed", range(3))
    def test_a_wide_beam_is_the_sum_over_the_alignments_of_each_spelling(self, tokens, seed):
        log_probs = random_log_probs(1, 6, len(tokens), seed=seed)
        texts = [" ".join(w) for n in (1, 2) for w in itertools.product(["AB", "BA", "A", "BAB"], repeat=n)]
        spellings = {"": [], **{t: tokens.encode(t) for t in texts}}
        model = kneser_ney([t.split() for t in self.TEXTS], order=2)
        search = BeamSearch(
            tokens, lexicon=["AB", "BA", "A", "BAB"], language_model=model, lm_weight=0.6, word_bonus=0.4, **WIDE
        )
        found = {h.text: h for h in search.n_best(log_probs, torch.tensor([6]), n=100_000)[0]}
        checked = 0
        for text, spelling in spellings.items():
            acoustic = -ctc_loss(log_probs, torch.tensor([6]), [spelling]).item()
            if acoustic == -math.inf:
                continue
            language = model.sentence_log_prob(text.split())
            score = acoustic + 0.6 * language + 0.4 * len(text.split())
            assert found[text].score == pytest.approx(score, abs=1e-4)
            assert found[text].language == pytest.approx(language, abs=1e-4)
            assert found[text].acoustic == pytest.approx(acoustic, abs=1e-4)
            checked += 1
        assert checked > 10
        assert {w for t in found for w in t.split()} == {"AB", "BA", "A", "BAB"}

    def test_weight_0_and_no_model_are_the_same(self, tokens):
        log_probs, lengths = random_log_probs(2, 12, len(tokens)), torch.tensor([12, 7])
        with_model = BeamSearch.of_text(tokens, self.TEXTS, order=2).weighted(lm_weight=0)
        without = BeamSearch(tokens, lexicon=["AB", "BA", "A", "BAB"])
        for ours, theirs in zip(*(s.n_best(log_probs, lengths) for s in (with_model, without)), strict=True):
            assert [(h.text, h.score) for h in ours] == [(h.text, pytest.approx(h.score)) for h in theirs]

    def test_an_open_search_writes_any_pieces(self, tokens):
        log_probs, lengths = random_log_probs(3, 30, len(tokens)), torch.tensor([30, 20, 0])
        assert BeamSearch(tokens, beam_size=1).decode(log_probs, lengths) == greedy(log_probs, lengths, tokens)
        assert BeamSearch.of_text(tokens, self.TEXTS, open_vocabulary=True).decode(log_probs, lengths)[2] == ""


def test_an_arpa_file_serves_as_the_model_it_was_written_from(tmp_path, capfd):
    model = kneser_ney([t.split() for t in TEXTS], order=3)
    write_arpa(model, tmp_path / "words.arpa")
    log_probs, lengths = random_log_probs(2, 20, 4), torch.tensor([20, 9])
    ours, theirs = (
        BeamSearch(TOKENS, lexicon=WORDS, language_model=m).n_best(log_probs, lengths)
        for m in (model, tmp_path / "words.arpa")
    )
    assert ours == theirs
    assert capfd.readouterr().err == ""  # KenLM's progress bar


def test_the_n_gram_lowers_the_error_rate_on_real_speech(an4_subset):
    """A small recogniser after some seconds of training, on the speech that it is learning."""
    speech = [u for u in load(an4_subset).split("train") if u.duration < 2.5][:16]
    texts = [u.text for u in speech]
    tokens = CharacterTokens.of(texts)
    torch.manual_seed(0)
    network = ReferenceRecogniser(CnnConfig(blocks=2, units=96, kernel=7, dropout=0.0), tokens).module
    features, lengths = pad([log_mel(read_audio(u)) for u in speech])
    targets = [torch.tensor(tokens.encode(text)) for text in texts]
    optimiser = torch.optim.AdamW(network.parameters(), lr=4e-3)
    loss = torch.tensor(math.inf)
    while loss > 1:  # nats a character: half learnt
        log_probs, frames = network(features, lengths)
        sizes = torch.tensor([len(t) for t in targets])
        loss = torch.nn.functional.ctc_loss(log_probs.transpose(0, 1), torch.cat(targets), frames, sizes)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    alone = score(texts, greedy(log_probs, frames, tokens)).wer
    tuning = tune(BeamSearch.of_text(tokens, texts), [(log_probs, frames)], texts)
    unweighed = next(t.wer for t in tuning.trials if t.lm_weight == 0 == t.word_bonus)
    assert tuning.best.wer < 0.75 * alone
    assert tuning.best.wer < unweighed


def test_tuning_reports_every_trial_and_takes_the_best():
    log_probs, lengths = random_log_probs(6, 12, 4), torch.full((6,), 12)
    references = ["AB", "A AB", "AB", "A", "AB BB", "AB A"]
    search = BeamSearch.of_text(TOKENS, TEXTS, order=2)
    halves = [(log_probs[:3], lengths[:3]), (log_probs[3:], lengths[3:])]
    tuning = tune(search, halves, references, lm_weights=(0, 0.5, 1), word_bonuses=(-1, 0))
    assert [(t.lm_weight, t.word_bonus) for t in tuning.trials] == [
        (0, -1),
        (0, 0),
        (0.5, -1),
        (0.5, 0),
        (1, -1),
        (1, 0),
    ]
    assert tuning.best.wer == min(t.wer for t in tuning.trials)
    assert (tuning.search.lm_weight, tuning.search.word_bonus) == (tuning.best.lm_weight, tuning.best.word_bonus)
    assert (search.lm_weight, search.word_bonus) == (0.5, 0)


def test_settings_that_cannot_be_are_told():
    with pytest.raises(StudyError, match="the setting beam_size is 0"):
        BeamSearch(TOKENS, beam_size=0)
    with pytest.raises(StudyError, match="the setting lm_weight is -1"):
        BeamSearch(TOKENS, lm_weight=-1)
    with pytest.raises(StudyError, match="the setting word_bonus is 1; expected a number, and 0 without a lexicon"):
        BeamSearch(TOKENS, word_bonus=1)
    with pytest.raises(StudyError, match="the setting language_model is 'of order 1'; expected 2 or more"):
        BeamSearch.of_text(TOKENS, TEXTS, order=1)
    with pytest.raises(TrainingError, match="the word 'ABÄ' of the lexicon has 'Ä', which the tokens cannot write"):
        BeamSearch(TOKENS, lexicon=["ABÄ"])
    with pytest.raises(TrainingError, match="cannot be read as an n-gram language model by KenLM"):
        BeamSearch(TOKENS, language_model=Path(__file__))


def test_without_flashlight_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "flashlight.lib.text.decoder", None)
    monkeypatch.setitem(sys.modules, "flashlight.lib.text", None)
    with pytest.raises(TrainingError, match=r"pip install 'otoscope\[beam\]'"):
        BeamSearch(TOKENS)
    assert greedy(random_log_probs(1, 5, 4), torch.tensor([5]), TOKENS)
