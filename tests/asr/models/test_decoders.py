"""Attention decoders: all steps at once, step by step, in any company; and against their formulas."""

import pytest
import torch
from torch import nn

from otoscope.asr import pad
from otoscope.asr.models.decoders import DECODERS as KINDS
from otoscope.asr.models.decoders import END
from otoscope.asr.models.decoders.lstm import AdditiveAttention
from tests.asr.models.variants import DECODERS

WIDTH, TOKENS = 14, 6
PREFIX = torch.tensor([[END, 3, 1, 4, 4], [END, 2, 5, 5, 1], [END, 1, 1, 2, 3]])
CLOSE = {"rtol": 1e-5, "atol": 1e-5}


@pytest.fixture(params=sorted(DECODERS))
def decoder(request):
    torch.manual_seed(0)
    return KINDS[request.param].build(WIDTH, TOKENS, DECODERS[request.param]).eval()


@pytest.fixture
def hidden():
    generator = torch.Generator().manual_seed(1)
    return pad([torch.randn(n, WIDTH, generator=generator) for n in (9, 5, 1)])


def test_every_decoder_is_among_those_tested():
    assert DECODERS.keys() == KINDS.keys()


@torch.no_grad()
def test_teacher_forcing_is_step_by_step(decoder, hidden):
    together = decoder(*hidden, PREFIX)
    assert together.shape == (3, 5, TOKENS)
    torch.testing.assert_close(together.exp().sum(-1), torch.ones(3, 5))
    state = decoder.start(*hidden)
    for s in range(5):
        log_probs, state = decoder.step(state, PREFIX[:, s])
        torch.testing.assert_close(log_probs, together[:, s], **CLOSE)


@torch.no_grad()
def test_neither_padding_nor_company_nor_later_tokens_change_a_row(decoder, hidden):
    frames, lengths = hidden
    together = decoder(frames, lengths, PREFIX)
    dirty = torch.cat([frames, torch.zeros(3, 4, WIDTH)], dim=1)
    for i, n in enumerate(lengths.tolist()):
        dirty[i, n:] = 1e3
        alone = decoder(frames[i : i + 1, :n], lengths[i : i + 1], PREFIX[i : i + 1])
        torch.testing.assert_close(together[i], alone[0], **CLOSE)
        shorter = decoder(frames[i : i + 1, :n], lengths[i : i + 1], PREFIX[i : i + 1, :3])
        torch.testing.assert_close(together[i, :3], shorter[0], **CLOSE)
    torch.testing.assert_close(decoder(dirty, lengths, PREFIX), together, **CLOSE)


@torch.no_grad()
def test_a_beam_may_drop_double_and_sort_the_rows_of_a_state(decoder, hidden):
    together = decoder(*hidden, PREFIX)
    state = decoder.start(*hidden)
    for s in range(2):
        _, state = decoder.step(state, PREFIX[:, s])
    rows = torch.tensor([2, 0, 0, 2])
    picked = state.select(rows)
    log_probs, _ = decoder.step(picked, PREFIX[rows, 2])
    torch.testing.assert_close(log_probs, together[rows, 2], **CLOSE)
    # Stepping left the first state as it was.
    torch.testing.assert_close(decoder.step(state, PREFIX[:, 2])[0], together[:, 2], **CLOSE)


@torch.no_grad()
def test_frames_and_earlier_tokens_matter(decoder, hidden):
    frames, lengths = hidden
    together = decoder(frames, lengths, PREFIX)
    other = PREFIX.clone()
    other[:, 1] = 0
    assert not torch.allclose(decoder(frames, lengths, other)[:, 2], together[:, 2], atol=1e-4)
    assert not torch.allclose(decoder(frames + 1, lengths, PREFIX), together, atol=1e-4)


@torch.no_grad()
def test_bfloat16_gives_about_the_same(decoder, hidden):
    exact = decoder(*hidden, PREFIX)
    with torch.autocast("cpu", torch.bfloat16):
        rough = decoder(*hidden, PREFIX)
        state = decoder.start(*hidden)
        log_probs, state = decoder.step(state, PREFIX[:, 0])
        log_probs, _ = decoder.step(state, PREFIX[:, 1])
    assert rough.dtype == log_probs.dtype == torch.float32
    torch.testing.assert_close(rough, exact, atol=0.05, rtol=0)
    torch.testing.assert_close(log_probs, exact[:, 1], atol=0.05, rtol=0)


@torch.no_grad()
def test_additive_attention_is_its_formula():
    torch.manual_seed(0)
    module = AdditiveAttention(5, WIDTH, 7)
    query, frames = torch.randn(2, 5), torch.randn(2, 6, WIDTH)
    mask = torch.tensor([[True] * 6, [True] * 2 + [False] * 4])
    seen = module(query, frames, module.key(frames), mask)
    for i, n in enumerate((6, 2)):
        inside = [module.query.weight @ query[i] + module.key.weight @ f + module.key.bias for f in frames[i, :n]]
        weights = torch.stack([module.score.weight[0] @ v.tanh() for v in inside]).softmax(0)
        torch.testing.assert_close(seen[i], sum(w * f for w, f in zip(weights, frames[i], strict=False)))


@torch.no_grad()
def test_the_transformer_decoder_is_pytorchs(hidden):
    torch.manual_seed(0)
    config = DECODERS["transformer"]
    ours = KINDS["transformer"].build(WIDTH, TOKENS, config).eval()
    frames, lengths = hidden
    units, heads = config.units, config.heads
    at = torch.arange(5)[:, None] * 10_000.0 ** (-torch.arange(0, units, 2) / units)
    x = ours.embedding(PREFIX) * units**0.5 + torch.cat([at.sin(), at.cos()], dim=1)
    for block in ours.blocks:
        own = nn.MultiheadAttention(units, heads, batch_first=True)
        cross = nn.MultiheadAttention(units, heads, kdim=WIDTH, vdim=WIDTH, batch_first=True)
        own.in_proj_weight.copy_(torch.cat([block.self_attention.query.weight, block.self_attention.memory.weight]))
        own.in_proj_bias.copy_(torch.cat([block.self_attention.query.bias, block.self_attention.memory.bias]))
        cross.q_proj_weight.copy_(block.attention.query.weight)
        cross.k_proj_weight.copy_(block.attention.memory.weight[:units])
        cross.v_proj_weight.copy_(block.attention.memory.weight[units:])
        cross.in_proj_bias.copy_(torch.cat([block.attention.query.bias, block.attention.memory.bias]))
        for theirs, mine in ((own, block.self_attention), (cross, block.attention)):
            theirs.out_proj.load_state_dict(mine.output.state_dict())
        normed = block.self_attention_norm(x)
        future = torch.ones(5, 5, dtype=torch.bool).triu(1)
        x = x + own(normed, normed, normed, attn_mask=future, need_weights=False)[0]
        padding = torch.arange(9) >= lengths[:, None]
        x = x + cross(block.attention_norm(x), frames, frames, key_padding_mask=padding, need_weights=False)[0]
        x = x + block.feed_forward(block.feed_forward_norm(x))
    expected = ours.output(ours.norm(x)).log_softmax(-1)
    torch.testing.assert_close(ours(frames, lengths, PREFIX), expected, **CLOSE)
