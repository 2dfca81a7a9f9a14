"""The losses: against PyTorch's, closed forms, each utterance alone; and a decoder that learns from real speech."""

import math

import pytest
import torch

from otoscope import TrainingError, load
from otoscope.asr import CharacterTokens, ReferenceRecogniser, log_mel, pad
from otoscope.asr.models import END, CnnConfig, LstmDecoderConfig, TransformerDecoderConfig
from otoscope.asr.objectives import attention_loss, ctc_loss, losses
from otoscope.corpora import read_audio
from tests.asr.models.variants import DECODERS, ENCODERS, TOKENS, utterances

TARGETS = [TOKENS.encode("ABBA C"), TOKENS.encode("C"), []]


@pytest.fixture(params=sorted(DECODERS))
def recogniser(request):
    torch.manual_seed(0)
    recogniser = ReferenceRecogniser(ENCODERS["conformer-conditioned"], TOKENS, decoder=DECODERS[request.param])
    recogniser.module.eval()
    return recogniser


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5])
def test_label_smoothing_is_pytorchs(smoothing):
    torch.manual_seed(0)
    log_probs = torch.randn(2, 4, 5).log_softmax(-1)
    found = attention_loss(log_probs, [[1, 4, 2], [3]], label_smoothing=smoothing)
    for i, target in enumerate([[1, 4, 2, END], [3, END]]):
        expected = torch.nn.functional.cross_entropy(
            log_probs[i, : len(target)], torch.tensor(target), label_smoothing=smoothing, reduction="sum"
        )
        torch.testing.assert_close(found[i], expected)


def test_label_smoothing_in_closed_form():
    """A decoder that gives p to the target and shares the rest evenly is best off at p = 1 − ε + ε / tokens."""

    def loss(p, smoothing, tokens=4):
        row = torch.full((tokens,), (1 - p) / (tokens - 1))
        row[END] = p
        return attention_loss(row.log()[None, None], [[]], label_smoothing=smoothing).item()

    p, epsilon = 0.7, 0.2
    expected = -(1 - epsilon + epsilon / 4) * math.log(p) - epsilon * 3 / 4 * math.log(0.3 / 3)
    assert loss(p, epsilon) == pytest.approx(expected, rel=1e-6)
    best = 1 - epsilon + epsilon / 4
    assert loss(best, epsilon) < min(loss(best - 0.01, epsilon), loss(best + 0.01, epsilon))


def test_ctc_is_that_of_each_utterance_alone():
    torch.manual_seed(0)
    log_probs = torch.randn(3, 9, 4).log_softmax(-1)
    lengths = torch.tensor([9, 6, 4])
    targets = [[1, 2, 3], [2, 2], []]
    together = ctc_loss(log_probs, lengths, targets)
    for i, n in enumerate(lengths.tolist()):
        alone = ctc_loss(log_probs[i : i + 1, :n], lengths[i : i + 1], targets[i : i + 1])
        torch.testing.assert_close(together[i : i + 1], alone)
    torch.testing.assert_close(together[2], -log_probs[2, :4, 0].sum())  # nothing said: blanks only


def test_the_total_is_the_weighed_sum_of_its_parts(recogniser):
    batch = pad(utterances(203, 98, 41))
    both = losses(recogniser, *batch, TARGETS, ctc_weight=0.3, label_smoothing=0.1, intermediate_weight=0.25)
    ctc = 0.75 * both.ctc + 0.25 * both.intermediate
    torch.testing.assert_close(both.total, 0.3 * ctc + 0.7 * both.attention)
    only_ctc = losses(recogniser, *batch, TARGETS, intermediate_weight=0.25)
    torch.testing.assert_close(only_ctc.total, ctc)
    assert only_ctc.attention is None
    only_attention = losses(recogniser, *batch, TARGETS, ctc_weight=0.0, label_smoothing=0.1)
    torch.testing.assert_close(only_attention.total, both.attention)
    assert (only_attention.ctc, only_attention.intermediate) == (None, None)


def test_the_parts_are_those_of_the_outputs(recogniser):
    batch = pad(utterances(203, 98, 41))
    found = losses(recogniser, *batch, TARGETS, ctc_weight=0.5)
    log_probs, lengths = recogniser.forward(*batch)
    torch.testing.assert_close(found.ctc, ctc_loss(log_probs, lengths, TARGETS))
    encoded = recogniser.encode(*batch)
    between = [ctc_loss(x, lengths, TARGETS) for x in encoded.intermediate]
    torch.testing.assert_close(found.intermediate, (between[0] + between[1]) / 2)
    state = recogniser.module.decoder.start(encoded.hidden[:1, : lengths[0]], lengths[:1])
    by_hand = torch.zeros(())
    for last, token in zip([END, *TARGETS[0]], [*TARGETS[0], END], strict=True):
        step, state = recogniser.module.decoder.step(state, torch.tensor([last]))
        by_hand -= step[0, token]
    torch.testing.assert_close(found.attention[0], by_hand, rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_neither_padding_nor_company_changes_a_loss(recogniser):
    settings = {"ctc_weight": 0.3, "label_smoothing": 0.1}
    together = losses(recogniser, *pad(utterances(203, 98, 41)), TARGETS, **settings)
    for i, utterance in enumerate(utterances(203, 98, 41)):
        alone = losses(recogniser, *pad([utterance]), TARGETS[i : i + 1], **settings)
        torch.testing.assert_close(together.total[i : i + 1], alone.total, rtol=1e-5, atol=1e-5)


def test_attention_without_a_decoder_is_refused():
    recogniser = ReferenceRecogniser(ENCODERS["cnn"], TOKENS)
    with pytest.raises(TrainingError, match=r"leaves a share of 0\.7 to an attention decoder.*LstmDecoderConfig"):
        losses(recogniser, *pad(utterances(60)), [[1]], ctc_weight=0.3)


@pytest.mark.parametrize(
    "decoder",
    [LstmDecoderConfig(units=48, attention=32), TransformerDecoderConfig(units=48, heads=2, feed_forward=96)],
    ids=["lstm", "transformer"],
)
def test_a_decoder_learns_to_read_real_speech(an4_subset, decoder):
    """Trained jointly on four utterances, it comes to write each of them out, step by step."""
    corpus = load(an4_subset)
    chosen = sorted(corpus.split("train"), key=lambda u: u.duration)[:4]
    tokens = CharacterTokens.of(u.text for u in chosen)
    targets = [tokens.encode(u.text) for u in chosen]
    assert len({u.text for u in chosen}) > 1
    batch = pad([log_mel(read_audio(u)) for u in chosen])
    torch.manual_seed(0)
    recogniser = ReferenceRecogniser(CnnConfig(blocks=2, units=48, kernel=5), tokens, decoder=decoder)
    optimiser = torch.optim.AdamW(recogniser.module.parameters(), lr=3e-3)
    for _ in range(150):
        optimiser.zero_grad()
        losses(recogniser, *batch, targets, ctc_weight=0.3, label_smoothing=0.1).total.mean().backward()
        torch.nn.utils.clip_grad_norm_(recogniser.module.parameters(), 1.0)
        optimiser.step()
    recogniser.module.eval()
    with torch.no_grad():
        encoded = recogniser.encode(*batch)
        state = recogniser.module.decoder.start(encoded.hidden, encoded.lengths)
        last = torch.full((4,), END)
        written = []
        for _ in range(max(map(len, targets)) + 1):
            log_probs, state = recogniser.module.decoder.step(state, last)
            last = log_probs.argmax(-1)
            written.append(last)
    for target, row in zip(targets, torch.stack(written, dim=1).tolist(), strict=True):
        assert row[: len(target) + 1] == [*target, END]
