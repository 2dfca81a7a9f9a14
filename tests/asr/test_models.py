"""The three networks: padding, lengths, and the LSTM against PyTorch's own bidirectional one."""

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from otoscope.asr import ARCHITECTURES, STRIDE, CharacterTokens, ReferenceRecogniser, pad
from otoscope.asr.models.lstm import Block, Lstm, LstmConfig

TOKENS = CharacterTokens.of(["A B C"])


@pytest.fixture(params=sorted(ARCHITECTURES))
def recogniser(request):
    torch.manual_seed(0)
    recogniser = ReferenceRecogniser(ARCHITECTURES[request.param].config(blocks=3, units=48), TOKENS)
    recogniser.module.eval()
    return recogniser


def utterances(*lengths):
    return [torch.randn(n, 80, generator=torch.Generator().manual_seed(n)) for n in lengths]


@torch.no_grad()
def test_padding_never_changes_an_utterances_output(recogniser):
    alone = [recogniser.forward(*pad([u])) for u in utterances(203, 98, 41)]
    together, lengths = recogniser.forward(*pad(utterances(203, 98, 41)))
    for row, n, (output, _) in zip(together, lengths.tolist(), alone, strict=True):
        torch.testing.assert_close(row[:n], output[0], rtol=1e-5, atol=2e-5)


@torch.no_grad()
def test_what_stands_in_the_padding_does_not_matter(recogniser):
    features, lengths = pad(utterances(203, 98))
    features_with_rubbish = features.clone()
    features_with_rubbish[1, 98:] = 1e3
    clean, n = recogniser.forward(features, lengths)
    dirty, _ = recogniser.forward(features_with_rubbish, lengths)
    torch.testing.assert_close(dirty[1, : n[1]], clean[1, : n[1]], rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("frames", [1, 3, 4, 5, 97, 100])
def test_an_output_frame_covers_four_input_frames(recogniser, frames):
    log_probs, lengths = recogniser.forward(*pad(utterances(frames)))
    assert lengths.tolist() == [-(-frames // STRIDE)]
    assert log_probs.shape == (1, lengths[0], len(TOKENS))
    torch.testing.assert_close(log_probs.exp().sum(-1), torch.ones(1, lengths[0]))


def test_a_saved_recogniser_comes_back_the_same(recogniser, tmp_path):
    recogniser.step = 7
    recogniser.save(tmp_path / "r.safetensors")
    back = ReferenceRecogniser.load(tmp_path / "r.safetensors")
    batch = pad(utterances(50, 80))
    assert torch.equal(back.forward(*batch)[0], recogniser.forward(*batch)[0])
    assert (back.step, back.config, back.tokens) == (7, recogniser.config, recogniser.tokens)


def test_the_lstm_block_is_a_packed_bidirectional_lstm():
    torch.manual_seed(0)
    block, theirs = Block(12, 8, 0.0).eval(), nn.LSTM(12, 8, batch_first=True, bidirectional=True)
    for ours, suffix in ((block.ahead, ""), (block.back, "_reverse")):
        for name, weight in ours.named_parameters():
            getattr(theirs, name + suffix).data.copy_(weight)
    x, lengths = pad([torch.randn(n, 12) for n in (20, 13, 1)])
    packed = pack_padded_sequence(x, lengths, batch_first=True)
    expected, _ = pad_packed_sequence(theirs(packed)[0], batch_first=True)
    frame = torch.arange(20)
    last = lengths[:, None] - 1
    seen = block(x, torch.where(frame <= last, last - frame, frame)[:, :, None])
    for row, want, n in zip(seen, expected, lengths.tolist(), strict=True):
        torch.testing.assert_close(row[:n], want[:n])


def test_every_layer_named_is_a_module_of_the_stated_width(recogniser):
    for layer in recogniser.layers():
        assert recogniser.module.get_submodule(layer.name) is not None
        assert layer.stride == pytest.approx(0.04)
    assert len(recogniser.layers()) == 1 + recogniser.config.blocks


def test_the_whole_future_reaches_the_first_frame_of_the_lstm():
    torch.manual_seed(0)
    module = Lstm(80, 4, LstmConfig(blocks=1, units=8, dropout=0.0)).eval()
    features, lengths = pad(utterances(80))
    changed = features.clone()
    changed[0, -1] += 5
    assert not torch.equal(module(features, lengths)[0][0, 0], module(changed, lengths)[0][0, 0])


def test_equal_recognisers_are_equal_files(recogniser, tmp_path):
    """What a killed run writes again must be the same to the byte: a study knows checkpoints by their hash."""
    files = [tmp_path / f"{i}.safetensors" for i in range(8)]
    for path in files:
        recogniser.save(path)
    assert len({path.read_bytes() for path in files}) == 1
