"""Attention search against every sequence there is; CTC prefix scores against every path."""

import itertools
import math
from dataclasses import dataclass

import pytest
import torch
from torch import nn

from otoscope import StudyError, TrainingError
from otoscope.asr.decoding import AttentionSearch, BeamSearch
from otoscope.asr.decoding.prefix import CtcPrefixes
from otoscope.asr.models.decoders import DECODERS, END, AttentionDecoder, State
from otoscope.asr.objectives import attention_loss, ctc_loss
from otoscope.asr.tokens import CharacterTokens

TOKENS = CharacterTokens(("A", "B"))


@dataclass(frozen=True)
class Memory(State):
    cell: torch.Tensor


class Recurrent(AttentionDecoder):
    """A distribution over sequences with weights that are fixed: each token depends on all before and on the speech."""

    def __init__(self, tokens, *, seed, eagerness=0.0):
        super().__init__()
        torch.manual_seed(seed)
        self.steps = 0
        self.embedding = nn.Embedding(tokens, 6).double()
        self.cell = nn.GRUCell(6, 6).double()
        self.output = nn.Linear(6, tokens).double()
        with torch.no_grad():
            self.output.weight *= 4
            self.output.bias[END] += eagerness

    def start(self, hidden, lengths):
        mask = torch.arange(hidden.shape[1]) < lengths[:, None]
        return Memory((hidden * mask[:, :, None]).sum(1))

    def step(self, state, tokens):
        self.steps += 1
        cell = self.cell(self.embedding(tokens), state.cell)
        return self.output(cell).log_softmax(-1), Memory(cell)


def speech(batch, frames, tokens, *, seed=0):
    random = torch.Generator().manual_seed(seed)
    hidden = torch.randn(batch, frames, 6, generator=random, dtype=torch.float64)
    log_probs = torch.randn(batch, frames, tokens, generator=random, dtype=torch.float64).mul(1.5).log_softmax(-1)
    return hidden, log_probs


@torch.no_grad()
def every_sequence(decoder, hidden, log_probs, limit, *, ctc_weight, length_bonus):
    """The score of each sequence of up to `limit` tokens, by teacher forcing and by PyTorch's CTC loss."""
    length = torch.tensor([len(hidden)])
    scores = {}
    for n in range(limit + 1):
        for sequence in itertools.product(range(1, log_probs.shape[1]), repeat=n):
            steps = decoder(hidden[None], length, torch.tensor([[END, *sequence]]))[0]
            attention = sum(steps[i, t].item() for i, t in enumerate([*sequence, END]))
            ctc = -ctc_loss(log_probs[None], length, [list(sequence)]).item() if ctc_weight else 0.0
            score = (1 - ctc_weight) * attention + ctc_weight * ctc + length_bonus * n
            if score > -math.inf:
                scores[TOKENS.decode(sequence)] = score
    return dict(sorted(scores.items(), key=lambda item: -item[1]))


@pytest.mark.parametrize("ctc_weight", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("length_bonus", [0.0, 0.8, -0.5])
@pytest.mark.parametrize("seed", range(2))
def test_a_wide_beam_finds_what_trying_every_sequence_finds(ctc_weight, length_bonus, seed):
    decoder = Recurrent(3, seed=seed)
    hidden, log_probs = speech(2, 4, 3, seed=seed)
    lengths = torch.tensor([4, 3])
    search = AttentionSearch(TOKENS, beam_size=40, ctc_weight=ctc_weight, length_bonus=length_bonus)
    for found, h, p, n in zip(
        search.n_best(decoder, hidden, lengths, log_probs), hidden, log_probs, lengths.tolist(), strict=True
    ):
        expected = every_sequence(decoder, h[:n], p[:n], n, ctc_weight=ctc_weight, length_bonus=length_bonus)
        assert len(found) == min(10, len(expected))
        assert {x.text: x.score for x in found} == pytest.approx(dict(itertools.islice(expected.items(), 10)), abs=1e-9)
        assert [x.text for x in found] == list(expected)[:10]
        for x in found:
            assert x.acoustic == pytest.approx(x.score - length_bonus * len(x.text))


def test_a_search_stops_when_nothing_can_overtake():
    decoder = Recurrent(3, seed=0, eagerness=6.0)
    hidden, _ = speech(2, 60, 3)
    assert AttentionSearch(TOKENS, beam_size=3).decode(decoder, hidden, torch.tensor([60, 60])) == ["", ""]
    assert decoder.steps < 10


@pytest.mark.parametrize("kind", ["lstm", "transformer"])
@pytest.mark.parametrize("ctc_weight", [0.0, 0.3])
def test_the_decoders_of_recognisers_score_as_they_do_under_teacher_forcing(kind, ctc_weight):
    torch.manual_seed(0)
    decoder = DECODERS[kind].build(16, 3, DECODERS[kind].config()).eval()
    hidden, lengths = torch.randn(2, 9, 16), torch.tensor([9, 6])
    log_probs = torch.randn(2, 9, 3).log_softmax(-1)
    found = AttentionSearch(TOKENS, beam_size=4, ctc_weight=ctc_weight).n_best(decoder, hidden, lengths, log_probs)
    for u, hypotheses in enumerate(found):
        assert len(hypotheses) == 4
        for h in hypotheses:
            target = TOKENS.encode(h.text)
            with torch.no_grad():
                steps = decoder(hidden[u : u + 1], lengths[u : u + 1], torch.tensor([[END, *target]]))
            score = -(1 - ctc_weight) * attention_loss(steps, [target]).item()
            if ctc_weight:
                score -= ctc_weight * ctc_loss(log_probs[u : u + 1], lengths[u : u + 1], [target]).item()
            assert h.score == pytest.approx(score, abs=1e-4)


def test_a_beam_of_one_takes_the_best_token_at_each_step():
    decoder = Recurrent(3, seed=1)
    hidden, _ = speech(5, 12, 3)
    texts = []
    for row in hidden:
        state, token, sequence = decoder.start(row[None], torch.tensor([12])), torch.tensor([END]), []
        while len(sequence) < 12:
            log_probs, state = decoder.step(state, token)
            token = log_probs.argmax(1)
            if token == END:
                break
            sequence.append(token.item())
        texts.append(TOKENS.decode(sequence))
    assert AttentionSearch(TOKENS, beam_size=1).decode(decoder, hidden, torch.full((5,), 12)) == texts
    assert len(set(texts)) > 1


@pytest.mark.parametrize("ctc_weight", [0.0, 0.4])
def test_neither_padding_nor_company_changes_a_hypothesis(ctc_weight):
    decoder = Recurrent(3, seed=2)
    hidden, log_probs = speech(4, 9, 3)
    lengths = torch.tensor([9, 5, 1, 0])
    search = AttentionSearch(TOKENS, beam_size=4, ctc_weight=ctc_weight)
    together = search.n_best(decoder, hidden, lengths, log_probs)
    for u, n in enumerate([9, 5, 1]):
        alone = search.n_best(decoder, hidden[u : u + 1, :n], lengths[u : u + 1], log_probs[u : u + 1, :n])[0]
        assert [h.text for h in together[u]] == [h.text for h in alone]
        assert [h.score for h in together[u]] == pytest.approx([h.score for h in alone], abs=1e-9)
    assert [h.text for h in together[3]] == [""]


def test_ctc_alone_is_the_beam_search_of_ctc():
    hidden, log_probs = speech(1, 5, 3, seed=5)
    ours = AttentionSearch(TOKENS, beam_size=60, ctc_weight=1.0).n_best(
        Recurrent(3, seed=0), hidden, torch.tensor([5]), log_probs
    )
    theirs = BeamSearch(TOKENS, beam_size=5000, threshold=1e3).n_best(log_probs, torch.tensor([5]))
    assert [h.text for h in ours[0]] == [h.text for h in theirs[0]]
    assert [h.score for h in ours[0]] == pytest.approx([h.score for h in theirs[0]], abs=1e-5)


def every_text(log_probs):
    """The probability of each token sequence, summed over its paths."""
    found = {}
    for path in itertools.product(range(log_probs.shape[1]), repeat=len(log_probs)):
        text = tuple(t for t, _ in itertools.groupby(path) if t != 0)
        found[text] = found.get(text, 0.0) + math.exp(sum(log_probs[i, t].item() for i, t in enumerate(path)))
    return found


@pytest.mark.parametrize("prefix", [(), (1,), (2, 2), (1, 2, 1)])
def test_prefix_scores_are_sums_over_the_texts_that_begin_so(prefix):
    _, log_probs = speech(3, 5, 3, seed=3)
    lengths = torch.tensor([5, 4, 5])
    prefixes = CtcPrefixes.start(log_probs, lengths)
    for token in prefix:
        prefixes = prefixes.follow(prefixes.scores()[1], torch.arange(3), torch.full((3,), token))
    scores, _ = prefixes.scores()
    for row, p, n in zip(scores.exp(), log_probs, lengths.tolist(), strict=True):
        texts = every_text(p[:n])
        expected = [texts.get(prefix, 0.0)]
        expected += [sum(q for t, q in texts.items() if t[: len(prefix) + 1] == (*prefix, c)) for c in (1, 2)]
        assert row.tolist() == pytest.approx(expected, abs=1e-12)


def test_settings_that_cannot_be_are_told():
    with pytest.raises(StudyError, match="the setting beam_size is 0"):
        AttentionSearch(TOKENS, beam_size=0)
    with pytest.raises(StudyError, match=r"the setting ctc_weight is 1.5; expected a share of 0 to 1"):
        AttentionSearch(TOKENS, ctc_weight=1.5)
    with pytest.raises(StudyError, match="the setting length_bonus is nan"):
        AttentionSearch(TOKENS, length_bonus=math.nan)
    hidden, _ = speech(1, 3, 3)
    with pytest.raises(TrainingError, match=r"ctc_weight is 0.5, but no CTC log-probabilities came"):
        AttentionSearch(TOKENS, ctc_weight=0.5).decode(Recurrent(3, seed=0), hidden, torch.tensor([3]))
