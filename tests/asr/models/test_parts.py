"""Attention, convolution module and front ends against loops that spell their formulas out; settings that cannot be."""

import math

import pytest
import torch

from otoscope import StudyError
from otoscope.asr import pad
from otoscope.asr.models import (
    CnnConfig,
    ConformerConfig,
    LstmConfig,
    LstmDecoderConfig,
    TransformerConfig,
    TransformerDecoderConfig,
)
from otoscope.asr.models.attention import RelativeAttention, RotaryAttention
from otoscope.asr.models.common import frame_mask
from otoscope.asr.models.conformer import Convolution
from otoscope.asr.models.front_end import Conv1dFrontEnd, VggFrontEnd
from tests.asr.models.variants import utterances

UNITS, HEADS, FRAMES = 12, 2, 7
WIDTH = UNITS // HEADS
LENGTHS = torch.tensor([7, 4, 1])


def attention(kind):
    torch.manual_seed(0)
    module = kind(UNITS, HEADS, 0.0).double()
    for weight in module.parameters():
        torch.nn.init.normal_(weight, std=0.5)
    x = torch.randn(3, FRAMES, UNITS, dtype=torch.float64)
    table = kind.table(FRAMES, UNITS, HEADS, x.device)
    return module, x, module(x, frame_mask(LENGTHS, FRAMES), table)


def by_loop(module, x, score):
    """Attention of one utterance without padding, head by head, query by query."""
    query, key, value = (module.inputs(x)[:, i * UNITS : (i + 1) * UNITS] for i in range(3))
    mixed = torch.zeros_like(x)
    for head in range(HEADS):
        own = slice(head * WIDTH, (head + 1) * WIDTH)
        for i in range(len(x)):
            scores = [score(head, query[i, own], key[j, own], i, j) / math.sqrt(WIDTH) for j in range(len(x))]
            weights = torch.stack(scores).softmax(0)
            mixed[i, own] = sum(w * v for w, v in zip(weights, value[:, own], strict=True))
    return module.output(mixed)


@torch.no_grad()
def test_relative_attention_is_its_formula():
    module, x, seen = attention(RelativeAttention)

    def score(head, query, key, i, j):
        rates = [10_000 ** (-2 * k / UNITS) for k in range(UNITS // 2)]
        sinusoid = [math.sin((i - j) * r) for r in rates] + [math.cos((i - j) * r) for r in rates]
        position = (module.positions.weight @ torch.tensor(sinusoid, dtype=torch.float64)).view(HEADS, WIDTH)[head]
        return (query + module.content_bias[head, 0]) @ key + (query + module.position_bias[head, 0]) @ position

    for i, n in enumerate(LENGTHS.tolist()):
        torch.testing.assert_close(seen[i, :n], by_loop(module, x[i, :n], score), rtol=1e-5, atol=1e-6)


@torch.no_grad()
def test_rotary_attention_turns_pairs_by_their_distance():
    module, x, seen = attention(RotaryAttention)

    def score(_head, query, key, i, j):
        angles = torch.tensor([(i - j) * 10_000 ** (-2 * k / WIDTH) for k in range(WIDTH // 2)])
        # As complex numbers: Re(q · conj(k) · e^(i (i − j) rate)) for each pair.
        pairs = torch.complex(*query.chunk(2)) * torch.complex(*key.chunk(2)).conj()
        return (pairs * torch.polar(torch.ones_like(angles), angles)).sum().real

    for i, n in enumerate(LENGTHS.tolist()):
        torch.testing.assert_close(seen[i, :n], by_loop(module, x[i, :n], score), rtol=1e-5, atol=1e-6)


@torch.no_grad()
@pytest.mark.parametrize("kind", [RelativeAttention, RotaryAttention])
def test_attention_knows_the_order_of_frames_but_not_when_they_began(kind):
    module, x, seen = attention(kind)
    table = kind.table(FRAMES, UNITS, HEADS, x.device)
    turned = module(x.flip(1), torch.ones(3, FRAMES, dtype=torch.bool), table).flip(1)
    assert not torch.allclose(turned[0], seen[0], atol=1e-3)
    # Frames 2 … 5 among themselves, at the beginning of an utterance and two frames later.
    early = module(x[:1, 2:6], torch.ones(1, 4, dtype=torch.bool), kind.table(4, UNITS, HEADS, x.device))
    among = torch.tensor([[False, False, True, True, True, True, False]])
    late = module(x[:1], among, table)[:, 2:6]
    torch.testing.assert_close(early, late, rtol=1e-5, atol=1e-6)


@torch.no_grad()
def test_the_conformers_convolution_is_its_formula():
    torch.manual_seed(0)
    config = ConformerConfig(blocks=1, units=6, heads=1, feed_forward=8, kernel=5)
    module = Convolution(config).double().eval()
    for weight in module.parameters():
        torch.nn.init.normal_(weight)
    x = torch.randn(3, FRAMES, 6, dtype=torch.float64)
    seen = module(x, frame_mask(LENGTHS, FRAMES))

    def normed(vector, norm):
        centred = vector - vector.mean()
        return centred / (centred.pow(2).mean() + norm.eps).sqrt() * norm.weight + norm.bias

    for i, n in enumerate(LENGTHS.tolist()):
        gated = []
        for frame in x[i, :n]:
            both = module.gate.weight @ normed(frame, module.norm) + module.gate.bias
            gated.append(both[:6] / (1 + (-both[6:]).exp()))
        for t in range(n):
            mixed = module.depthwise.bias.clone()
            for offset in range(-2, 3):
                if 0 <= t + offset < n:
                    mixed += module.depthwise.weight[:, 0, offset + 2] * gated[t + offset]
            hidden = normed(mixed, module.middle_norm)
            want = module.output.weight @ (hidden / (1 + (-hidden).exp())) + module.output.bias
            torch.testing.assert_close(seen[i, t], want)


@torch.no_grad()
@pytest.mark.parametrize("frames", range(1, 14))
@pytest.mark.parametrize("kind", [Conv1dFrontEnd, VggFrontEnd])
def test_front_ends_agree_on_lengths(kind, frames):
    hidden, lengths = kind(80, 16, 4)(*pad(utterances(frames)))
    assert lengths.tolist() == [math.ceil(frames / 4)]
    assert hidden.shape == (1, math.ceil(frames / 4), 16)


@torch.no_grad()
def test_the_vgg_front_end_sees_frequency_and_time_in_strides_of_four():
    torch.manual_seed(0)
    module = VggFrontEnd(80, 16, 4)
    assert [c.weight.shape[:2] for c in module.convolutions] == [(4, 1), (4, 4), (8, 4), (8, 8)]
    assert [c.stride for c in module.convolutions] == [(1, 1), (2, 2), (1, 1), (2, 2)]
    assert module.linear.in_features == 8 * 20
    features, lengths = pad(utterances(80))
    changed = features.clone()
    changed[0, 40, 30] += 3
    moved = (module(changed, lengths)[0] - module(features, lengths)[0])[0].abs().amax(1) > 1e-6
    # Kernels of 3 with strides 1, 2, 1, 2 see 6 frames to either side of the middle of an output frame.
    assert moved.nonzero()[:, 0].tolist() == [t for t in range(20) if abs(4 * t - 40) <= 6]


@pytest.mark.parametrize(
    ("kind", "settings", "said"),
    [
        (CnnConfig, {"separable": 1}, "separable is 1; expected true or false"),
        (CnnConfig, {"front_end": "conv2d"}, "front_end is 'conv2d'; expected one of conv1d, vgg"),
        (LstmConfig, {"front_end_channels": 0}, "front_end_channels is 0; expected a whole number"),
        (LstmConfig, {"bidirectional": "no"}, "bidirectional is 'no'; expected true or false"),
        (TransformerConfig, {"positions": "absolute"}, "positions is 'absolute'; expected one of rotary, relative"),
        (TransformerConfig, {"layer_drop": 1.0}, r"layer_drop is 1\.0; expected a rate"),
        (TransformerConfig, {"intermediate_ctc": (7,)}, r"intermediate_ctc is \(7,\); expected .* 0 to 6"),
        (TransformerConfig, {"intermediate_ctc": [-1]}, r"intermediate_ctc is \[-1\]"),
        (TransformerConfig, {"intermediate_ctc": [2, 2]}, "expected different blocks before the last"),
        (TransformerConfig, {"intermediate_ctc": 3}, "intermediate_ctc is 3"),
        (TransformerConfig, {"blocks": 1, "intermediate_ctc": [0]}, r"intermediate_ctc is \[0\]; expected none"),
        (ConformerConfig, {"self_conditioning": True}, "self_conditioning is True; expected blocks in intermediate"),
        (ConformerConfig, {"kernel": 32}, "kernel is 32; expected an odd number"),
        (ConformerConfig, {"heads": 5}, "heads is 5; expected a number that divides units = 144"),
        (LstmDecoderConfig, {"attention": 0}, "attention is 0; expected a whole number"),
        (LstmDecoderConfig, {"dropout": -0.1}, r"dropout is -0\.1; expected a rate"),
        (TransformerDecoderConfig, {"heads": 5}, "heads is 5; expected a number that divides units = 192"),
        (TransformerDecoderConfig, {"blocks": 0}, "blocks is 0; expected a whole number"),
    ],
)
def test_a_setting_that_cannot_work_is_refused_where_it_is_made(kind, settings, said):
    with pytest.raises(StudyError, match=said):
        kind(**settings)


def test_blocks_with_outputs_of_their_own_may_come_as_a_list_in_any_order():
    assert TransformerConfig(intermediate_ctc=[5, 2]) == TransformerConfig(intermediate_ctc=(2, 5))
