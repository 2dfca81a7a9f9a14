"""Layers of any module: strides, axes and true lengths read off, or refused where they cannot be told."""

import pytest
import torch
from torch import nn

from otoscope import CaptureError, Layer
from otoscope.adapters.module import ModuleProbe, ModuleRecogniser
from otoscope.adapters.watched import unwrapped
from otoscope.capture import to_frames
from otoscope.watching.probing import probe_layers

LENGTHS = torch.tensor([61, 60, 33, 7])


class Strided(nn.Module):
    """Convolutions padded to "same", of strides 1, 2 and 4, over channels first; then frames first in time."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv1d(10, 12, 5, padding=2), nn.Conv1d(12, 14, 3, stride=2, padding=1)
        self.c, self.d = nn.Conv1d(14, 16, 3, stride=2, padding=1), nn.Linear(16, 18)
        self.e = nn.LSTM(18, 20)

    def forward(self, x, scale=1.0):
        x = self.c(self.b(self.a(x.transpose(1, 2))))
        return self.e(self.d(x.transpose(1, 2)).transpose(0, 1) * scale)[0]


def probe_of(inputs, **settings):
    return ModuleProbe(inputs, LENGTHS, **{"lengths_of": None, "size": 4, **settings})


@pytest.mark.parametrize("size", [2, 4])
@pytest.mark.parametrize("extra", [0, 20])
def test_strides_and_axes_are_read_off(size, extra):
    probe = probe_of(torch.randn(4, 61 + extra, 10), size=size)
    layers = ModuleRecogniser(Strided(), ["*"], probe).layers()
    assert [(x.name, x.units, x.stride, x.time_axis) for x in layers] == [
        ("a", 12, 1, 2),
        ("b", 14, 2, 2),
        ("c", 16, 4, 2),
        ("d", 18, 4, 1),
        ("e", 20, 4, 0),
    ]


@pytest.mark.parametrize("kind", ["tensor", "mapping", "sequence"])
def test_true_frames_are_those_of_each_utterance_alone(kind):
    torch.manual_seed(0)
    model, features = Strided(), torch.randn(4, 61, 10)
    model.a.bias.data.zero_()
    inputs = {"tensor": features, "mapping": {"x": features, "scale": 1.0}, "sequence": [features, 1.0]}[kind]
    probe = probe_of(inputs, size=3)
    recogniser = ModuleRecogniser(model, ["a"], probe)
    views, lengths = probe_layers(recogniser, probe.batches, recogniser.layers(), grid=1)
    assert lengths == LENGTHS.tolist()
    for i, rows in enumerate(torch.split(views["a"], lengths)):
        alone = model.a(features[i : i + 1].transpose(1, 2))[0].T[: lengths[i]]
        torch.testing.assert_close(rows, alone)


def test_layers_of_several_strides_meet_on_one_grid():
    probe = probe_of(torch.randn(4, 61, 10))
    recogniser = ModuleRecogniser(Strided(), ["*"], probe)
    views, lengths = probe_layers(recogniser, probe.batches, recogniser.layers(), grid=4)
    assert lengths == [16, 15, 9, 2]
    assert {name: tuple(x.shape) for name, x in views.items()} == {n: (42, 12 + 2 * i) for i, n in enumerate("abcde")}


def test_a_layer_described_by_hand_is_taken_as_it_is():
    probe = probe_of(torch.randn(4, 61, 10))
    given = Layer("c", 16, 4, 2, "mine")
    assert ModuleRecogniser(Strided(), ["a", given], probe).layers()[1] is given
    wrong = ModuleRecogniser(Strided(), [Layer("c", 16, 2, 2, "mine")], probe)
    seen = torch.zeros(4, 16, 16)
    with pytest.raises(CaptureError, match="expected 4 × at least 31 × 16"):
        to_frames(seen, wrong.layers()[0], LENGTHS, wrong.frame_shift)


def test_axes_that_cannot_be_told_apart_are_refused():
    class Square(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(10, 61)

        def forward(self, x):
            assert x.shape[1] == 61, "a model of one length of input"
            return self.layer(x)

    with pytest.raises(
        CaptureError, match=r"layer layer put out a tensor of shape \(4, 61, 61\).* more than one of its"
    ):
        ModuleRecogniser(Square(), ["layer"], probe_of(torch.randn(4, 61, 10)))


def test_lengths_of_a_front_end_without_padding():
    model = nn.Sequential(nn.Conv1d(10, 12, 5, stride=3))
    rule = lambda n: torch.div(n - 5, 3, rounding_mode="floor") + 1  # noqa: E731
    probe = ModuleProbe(torch.randn(4, 10, 61), LENGTHS, lengths_of=rule, size=4)
    recogniser = ModuleRecogniser(model, ["0"], probe)
    views, lengths = probe_layers(recogniser, probe.batches, recogniser.layers(), grid=1)
    assert lengths == [19, 19, 10, 1]
    assert views["0"].shape == (49, 12)


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_the_module_inside_wrappers_is_watched():
    model = nn.Linear(2, 2)
    assert unwrapped(torch.compile(model)) is model

    class FSDPModule(nn.Linear):
        pass

    with pytest.raises(CaptureError, match="spread over processes"):
        unwrapped(nn.Sequential(FSDPModule(2, 2)))
