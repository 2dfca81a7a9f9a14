"""Hooks: the right layers, whole outputs, and nothing left behind."""

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence

from otoscope import CaptureError, capture, select


class Net(nn.Module):
    """A module with blocks, an in-place operation after one, an unused layer, and one called twice."""

    def __init__(self):
        super().__init__()
        self.blocks = nn.ModuleList(nn.Sequential(nn.Linear(4, 4), nn.Tanh()) for _ in range(3))
        self.unused = nn.Linear(4, 4)
        self.twice = nn.Linear(4, 4)

    def forward(self, x):
        for block in self.blocks:
            x = block(x)
            self.plain = x.clone()
            x += 100
        return self.twice(self.twice(x))


def test_globs_stay_within_one_level():
    net = Net()
    assert select(net, ["blocks.*"]) == ["blocks.0", "blocks.1", "blocks.2"]
    assert select(net, ["blocks.*.0"]) == ["blocks.0.0", "blocks.1.0", "blocks.2.0"]
    assert select(net, ["blocks.[01]", "tw*"]) == ["blocks.0", "blocks.1", "twice"]


def test_a_name_that_matches_nothing_says_what_there_is():
    with pytest.raises(CaptureError, match=r"no layer matches 'encoder\.\*'\. The model has: blocks, blocks\.0,"):
        select(Net(), ["encoder.*"])


@torch.no_grad()
def test_an_in_place_operation_does_not_reach_what_was_captured():
    net = Net()
    with capture(net, ["blocks.2"]) as captured:
        net(torch.randn(2, 5, 4))
        assert torch.equal(captured.take()["blocks.2"], net.plain)


def test_hooks_are_gone_afterwards_also_after_an_error():
    net = Net()
    fast = torch.backends.mha.get_fastpath_enabled()

    def fail_inside():
        with capture(net, ["blocks.*", "twice"]):
            assert not torch.backends.mha.get_fastpath_enabled()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_inside()
    assert not any(m._forward_hooks for m in net.modules())
    assert torch.backends.mha.get_fastpath_enabled() == fast


def test_a_layer_that_did_not_fire_is_named():
    net = Net()
    with capture(net, ["blocks.0", "unused"]) as captured:
        net(torch.randn(1, 2, 4))
        with pytest.raises(CaptureError, match="did not call unused"):
            captured.take()


def test_a_layer_that_fired_twice_is_named():
    net = Net()
    with capture(net, ["twice"]) as captured:
        net(torch.randn(1, 2, 4))
        with pytest.raises(CaptureError, match=r"twice \(2 times\)"):
            captured.take()


def test_each_pass_is_handed_out_once():
    net = Net()
    with capture(net, ["blocks.0"]) as captured:
        for frames in (3, 7):
            net(torch.randn(1, frames, 4))
            assert captured.take()["blocks.0"].shape == (1, frames, 4)


@torch.no_grad()
def test_a_transformer_encoder_in_eval_mode_with_a_padding_mask_gives_plain_tensors():
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    encoder = nn.TransformerEncoder(layer, 2).eval()
    x = torch.randn(2, 6, 8)
    mask = torch.tensor([[False] * 6, [False] * 3 + [True] * 3])
    with capture(encoder, ["layers.*"]) as captured:
        output = encoder(x, src_key_padding_mask=mask)
        seen = captured.take()
    assert seen["layers.1"].shape == (2, 6, 8)
    torch.testing.assert_close(seen["layers.1"], output)


@torch.no_grad()
def test_an_lstm_gives_its_outputs_and_a_packed_one_is_padded():
    lstm = nn.LSTM(3, 4, batch_first=True)
    model = nn.ModuleDict({"lstm": lstm})
    x = torch.randn(2, 5, 3)
    with capture(model, ["lstm"]) as captured:
        output, _ = lstm(x)
        assert torch.equal(captured.take()["lstm"], output)
        lstm(pack_padded_sequence(x, torch.tensor([5, 2]), batch_first=True))
        packed = captured.take()["lstm"]
    torch.testing.assert_close(packed[0], output[0])
    torch.testing.assert_close(packed[1, :2], output[1, :2])


def test_an_output_without_a_tensor_is_refused():
    class Odd(nn.Module):
        def forward(self, x):
            return {"x": x}

    model = nn.ModuleDict({"odd": Odd()})
    with capture(model, ["odd"]), pytest.raises(CaptureError, match="layer odd put out dict"):
        model["odd"](torch.ones(1))
