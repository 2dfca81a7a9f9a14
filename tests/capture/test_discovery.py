"""Layer discovery: axes, strides and windows exactly, whatever the sizes; reasons for what cannot be captured."""

import json
import math
import warnings

import numpy as np
import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence

from otoscope import Batch, CaptureError, Layer, Speech, TorchRecogniser
from otoscope.asr import PRESETS, ReferenceRecogniser
from otoscope.asr.tokens import CharacterTokens
from otoscope.capture import Fed, to_frames
from otoscope.capture.discovery import choose_layers, discover, infer_layers
from otoscope.capture.discovery.regular import Rule, rules, telling

WAV2VEC = tuple(zip((10, 3, 3, 3, 3, 2, 2), (5, 2, 2, 2, 2, 2, 2), strict=True))


def speech(seconds=2.6, text="one two three four five"):
    return Speech(np.random.default_rng(1).standard_normal(round(16_000 * seconds)).astype(np.float32), text)


class FromAudio(TorchRecogniser):
    """A module that takes padded samples (batch, samples)."""

    frame_shift = 1 / 16_000

    def __init__(self, module):
        self.module = module

    def prepare(self, speech):
        rows = [torch.from_numpy(one.audio) for one in speech]
        return Batch(nn.utils.rnn.pad_sequence(rows, batch_first=True), torch.tensor([len(row) for row in rows]))

    def forward(self, audio, lengths):
        return self.module(audio)


class FromFeatures(FromAudio):
    """A module that takes padded frames of 10 ms (batch, frames, 80), samples among them."""

    frame_shift = 0.01

    def prepare(self, speech):
        rows = [torch.from_numpy(one.audio[: len(one.audio) // 160 * 160]).view(-1, 160)[:, :80] for one in speech]
        return Batch(nn.utils.rnn.pad_sequence(rows, batch_first=True), torch.tensor([len(row) for row in rows]))


class Convolutions(nn.Module):
    """Convolutions over samples without padding, channels first."""

    def __init__(self, kernels=WAV2VEC, units=6):
        super().__init__()
        sizes = [1, *[units] * len(kernels)]
        self.layers = nn.ModuleList(
            nn.Conv1d(i, o, kernel, stride=stride)
            for i, o, (kernel, stride) in zip(sizes, sizes[1:], kernels, strict=False)
        )

    def forward(self, audio):
        x = audio[:, None]
        for layer in self.layers:
            x = torch.tanh(layer(x))
        return x


class Audio(nn.Module):
    """A front end without padding and blocks behind it."""

    def __init__(self):
        super().__init__()
        self.front = Convolutions()
        self.blocks = nn.ModuleList(nn.Sequential(nn.Linear(6, 6), nn.Tanh()) for _ in range(2))

    def forward(self, audio):
        x = self.front(audio).transpose(1, 2)
        for block in self.blocks:
            x = block(x)
        return x


# Rules


@settings(max_examples=25, deadline=None)
@given(stride=st.integers(1, 1500), window=st.integers(-50, 3000), whole=st.integers(30_000, 200_000))
def test_a_rule_is_found_from_lengths_that_tell_it(stride, window, whole):
    rule = Rule(stride, window)
    seen = [(n, max(0, rule.frames(n))) for n in (whole, whole // 2)]
    for _ in range(64):
        left = rules(seen)
        if left.one() is not None:
            break
        steps = telling(left, 4000, 20_000)
        assert steps is not None
        seen.append((steps, max(0, rule.frames(steps))))
    found = left.one()
    assert found.stride == stride
    assert found.window == window or (window <= 1 and found.window <= 1)


def test_frames_that_follow_no_rule_leave_none():
    assert len(rules([(100, 50), (200, 80), (300, 170)])) == 0


# Axes, strides, windows


@pytest.mark.parametrize("architecture", list(PRESETS))
def test_layers_of_the_reference_recognisers_are_what_they_say(architecture):
    torch.manual_seed(0)
    recogniser = ReferenceRecogniser(PRESETS[architecture]["small"].model, CharacterTokens(tuple("abc ")))
    said = recogniser.layers()
    found = infer_layers(recogniser, [layer.name for layer in said], speech())
    for one, other in zip(found, said, strict=True):
        assert one.stride == pytest.approx(other.stride, rel=1e-12)
        assert (one.name, one.units, one.time_axis, one.window, one.over) == (
            other.name,
            other.units,
            other.time_axis,
            0.0,
            "frames",
        )
    discovered = discover(recogniser, speech())
    assert discovered.default == tuple(layer.name for layer in said)
    assert not [w for w in discovered.warnings if "recogniser" in w]
    assert [layer.name for layer in choose_layers(recogniser, speech())] == [layer.name for layer in said]


def test_windows_of_a_front_end_without_padding_are_exact():
    layers = infer_layers(FromAudio(Audio()), ["front", "front.layers.*", "blocks.*"], speech())
    window, stride, expected = 1, 1, []
    for kernel, step in WAV2VEC:
        window, stride = window + (kernel - 1) * stride, stride * step
        expected.append((stride, window))
    assert expected[-1] == (320, 400)
    expected = [expected[-1], *expected, expected[-1], expected[-1]]
    assert [(x.stride * 16_000, x.window * 16_000) for x in layers] == [pytest.approx(e, rel=1e-9) for e in expected]
    assert [x.time_axis for x in layers] == [2] * 8 + [1] * 2


@pytest.mark.parametrize(
    "kernels", [[(7, 5), (3, 2)], [(40, 9), (20, 3), (9, 9)], [(5, 9)], [(127, 64), (7, 3), (3, 2)]]
)
def test_true_frames_of_a_batch_are_those_of_each_utterance_alone(kernels):
    recogniser = FromAudio(Convolutions(kernels))
    (layer,) = infer_layers(recogniser, [f"layers.{len(kernels) - 1}"], speech(2.0))
    utterances = [Speech(speech().audio[:n]) for n in (9000, 7777, 8190)]
    with torch.no_grad():
        batch = recogniser.prepare(utterances)
        _, counts = to_frames(recogniser.outputs(batch, [layer.name])[layer.name], layer, batch.lengths, 1 / 16_000)
        alone = [recogniser.outputs(recogniser.prepare([one]), [layer.name])[layer.name] for one in utterances]
    assert counts == [one.shape[2] for one in alone]


@pytest.mark.parametrize("units", [260, 130, 16])
def test_as_many_units_as_frames_or_channels_are_not_mistaken(units):
    class Both(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Linear(80, units), nn.Conv1d(units, units, 3, stride=2, padding=1)
            self.third = nn.LSTM(units, units)
            self.fourth = nn.Conv2d(1, 2, 3, stride=(2, 1), padding=1)

        def forward(self, x):
            x = self.second(self.first(x).transpose(1, 2))
            self.fourth(self.third(x.permute(2, 0, 1))[0].transpose(0, 1)[:, None])

    recogniser, one = FromFeatures(Both()), speech(2.6)
    assert recogniser.prepare([one]).inputs.shape[1] == 260
    found = infer_layers(recogniser, ["*"], one)
    assert [(x.name, x.units, round(x.stride, 9), x.time_axis, x.window) for x in found] == [
        ("first", units, 0.01, 1, 0.0),
        ("second", units, 0.02, 2, 0.0),
        ("third", units, 0.02, 0, 0.0),
        ("fourth", 2 * units, 0.04, 2, 0.0),
    ]


def test_speech_padded_to_one_length_has_the_stride_of_that_length():
    class Padded(FromFeatures):
        def prepare(self, speech):
            inputs, lengths, _ = super().prepare(speech)
            return Batch(nn.functional.pad(inputs, (0, 0, 0, 1000 - inputs.shape[1])), lengths)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.front = nn.Conv1d(80, 500, 3, stride=2, padding=1)  # as many units as frames
            self.blocks = nn.ModuleList(nn.Linear(500, 500) for _ in range(2))

        def forward(self, x):
            x = self.front(x.transpose(1, 2)).transpose(1, 2)
            for block in self.blocks:
                x = block(x)

    for said in (None, 10.0):
        recogniser = Padded(Net())
        recogniser.padded_seconds = said
        layers = infer_layers(recogniser, ["blocks.*", "front"], speech())
        assert [(x.name, x.time_axis, x.stride, x.window) for x in layers] == [
            ("front", 2, 0.02, 0.0),
            ("blocks.0", 1, 0.02, 0.0),
            ("blocks.1", 1, 0.02, 0.0),
        ]
        assert infer_layers(recogniser, ["blocks.0"], speech())[0].stride == 0.02  # the convolution not asked for


# Reasons


class Odd(nn.Module):
    """One submodule for each thing that can be wrong."""

    def __init__(self):
        super().__init__()
        self.twice = nn.Linear(80, 80)
        self.unused = nn.Linear(2, 2)
        self.direct = nn.Linear(80, 80)
        self.mapping, self.whole_numbers, self.pooled, self.flat, self.scores = (nn.Identity() for _ in range(5))
        self.split_heads, self.positions, self.chunks, self.uneven, self.quantised = (nn.Identity() for _ in range(5))
        self.stack = nn.GRU(80, 7, num_layers=2, batch_first=True)
        self.packed = nn.LSTM(80, 5, batch_first=True)

    def forward(self, x):
        batch, frames = x.shape[:2]
        x = self.twice(self.twice(x))
        x = nn.functional.linear(x, self.direct.weight)
        self.mapping({"x": x})
        self.whole_numbers(x.argmax(2))
        self.pooled(x.mean(1))
        self.flat(x.flatten(0, 1))
        self.scores(x @ x.transpose(1, 2))
        self.split_heads(x.view(batch, frames, 4, 20))
        self.positions(torch.zeros(1, 2 * frames - 1, 6))
        for _ in range(frames // 50):
            self.chunks(x)
        with warnings.catch_warnings(action="ignore"):  # on their way out of PyTorch, and in older models still
            self.quantised(torch.quantize_per_tensor(x, 0.1, 0, torch.qint8))
        self.uneven(x[:, : math.isqrt(frames)])
        self.stack(x)
        self.packed(pack_padded_sequence(x, torch.full((batch,), frames), batch_first=True))


def test_everything_that_cannot_be_captured_says_why():
    found = discover(FromFeatures(Odd()), speech(), patterns=["*"])
    problems = {row.name: row.problem for row in found.rows if row.layer is None}
    expected = {
        "twice": "one forward pass calls it 2 times",
        "unused": "the forward pass does not call it",
        "direct": "its weights are used without calling it: take the module around it",
        "mapping": "it puts out dict, expected a tensor",
        "whole_numbers": "it puts out int64, expected a tensor of real numbers",
        "quantised": "it puts out qint8, expected a tensor of real numbers",
        "pooled": "no axis of its output 1 × 80 runs over time",
        "flat": "batch and frames are one axis of its output 260 × 80",
        "scores": "2 axes of its output 1 × 260 × 260 run over frames",
        "split_heads": "its output 1 × 260 × 4 × 20 has frames on axis 1, which capture does not take",
        "positions": "no axis of its output 1 × 519 × 6 runs over utterances",
        "chunks": "one forward pass calls it 5 times",
        "uneven": "its frames do not follow the input steps by a stride: ",
    }
    assert problems.keys() == expected.keys()
    for name, reason in expected.items():
        assert problems[name].startswith(reason), name
    assert found["packed"].layer == Layer("packed", 5, 0.01, 1, "LSTM")
    assert found["packed"].note == "puts out a packed sequence, captured padded"
    assert found["twice"].calls == 2
    assert found["twice"].own_parameters == found["twice"].parameters == 80 * 81


def test_layers_stacked_in_one_module_are_seen_once_and_said_so():
    found = discover(FromFeatures(Odd()), speech())
    assert found["stack"].layer == Layer("stack", 7, 0.01, 1, "GRU")
    assert found["stack"].note == "2 layers in one module, of which the last is seen"
    assert any(w.startswith("stack is 2 layers in one GRU") and "weight_ih_l1" in w for w in found.warnings)


def test_a_layer_that_cannot_be_captured_is_refused_by_name():
    with pytest.raises(CaptureError, match="layer twice cannot be captured: one forward pass calls it 2 times"):
        infer_layers(FromFeatures(Odd()), ["stack", "twice"], speech())
    with pytest.raises(CaptureError, match="no layer matches 'blocks"):
        infer_layers(FromFeatures(Odd()), ["blocks.*"], speech())
    with pytest.raises(CaptureError, match="no layer matches 'blocks"):
        discover(FromFeatures(Odd()), speech(), patterns=["blocks.*"])


# What hides layers


class Stock(nn.Module):
    """PyTorch's own Transformer encoder behind a convolution, with a padding mask."""

    def __init__(self):
        super().__init__()
        self.front = nn.Conv1d(80, 8, 3, stride=2, padding=1)
        self.encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), 3)

    def forward(self, x):
        x = self.front(x.transpose(1, 2)).transpose(1, 2)
        mask = torch.zeros(x.shape[:2], dtype=torch.bool)
        mask[:, -1] = True
        return self.encoder(x, src_key_padding_mask=mask)


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
def test_the_fused_transformer_path_is_off_and_said_so():
    fast = torch.backends.mha.get_fastpath_enabled()
    found = discover(FromFeatures(Stock().eval()), speech())
    assert found.default == ("front", "encoder.layers.0", "encoder.layers.1", "encoder.layers.2")
    assert [found[name].layer.stride for name in found.default] == [0.02] * 4
    problem = "its weights are used without calling it: take the module around it"
    assert found["encoder.layers.1.self_attn.out_proj"].problem == problem
    fused, direct, attention = found.warnings
    assert fused.startswith("PyTorch's fused Transformer path runs layers of encoder in eval mode")
    assert direct.startswith("hooks of encoder.layers.0.self_attn.out_proj, ")
    assert attention.startswith("attention runs in one fused function")
    assert torch.backends.mha.get_fastpath_enabled() == fast


class Small(nn.Module):
    """Two blocks."""

    def __init__(self):
        super().__init__()
        self.blocks = nn.ModuleList(nn.Linear(80, 80) for _ in range(2))

    def forward(self, x):
        for block in self.blocks:
            x = torch.tanh(block(x))
        return x


@pytest.mark.filterwarnings("ignore:.*is deprecated:DeprecationWarning")  # the compiler's own, when it is imported
@pytest.mark.parametrize("how", ["wrapped", "in place"])
def test_compiled_modules_run_uncompiled_and_it_is_said_so(how):
    module = nn.Sequential(Small())
    if how == "wrapped":
        module[0] = torch.compile(module[0], backend="eager")
    else:
        module[0].compile(backend="eager")
    recogniser = FromFeatures(module)
    recogniser.run(recogniser.prepare([speech()]))  # compiled now, without hooks
    found = discover(recogniser, speech())
    inside = "0._orig_mod" if how == "wrapped" else "0"
    assert found.default == (f"{inside}.blocks.0", f"{inside}.blocks.1")
    assert found.warnings[0].startswith("torch.compile hides hooks in 0: ")


def test_torchscript_parts_are_named():
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        module = nn.Sequential(nn.Linear(80, 80), torch.jit.script(Small()))
    found = discover(FromFeatures(module), speech())
    assert found["0"].layer is not None
    assert (
        found["1"].problem
        == found["1.blocks.0"].problem
        == ("TorchScript takes no hooks: see otoscope.adapters.torchscript")
    )
    assert found["1"].kind == "Small"


def test_the_module_is_left_as_it_was():
    class Counting(Small):
        def __init__(self):
            super().__init__()
            self.register_buffer("passes", torch.zeros(()))
            self.dropout = nn.Dropout(0.5)

        def forward(self, x):
            self.passes += 1
            torch.rand(3)
            return self.dropout(super().forward(x))

    module = Counting().train()
    module.blocks[0].eval()
    module.blocks[1].register_forward_hook(lambda *_: None)
    before = torch.get_rng_state()
    discover(FromFeatures(module), speech())
    assert module.passes == 0
    assert [part.training for part in (module, *module.blocks, module.dropout)] == [True, False, True, True]
    assert torch.equal(before, torch.get_rng_state())
    assert sum(len(part._forward_hooks) + len(part._forward_pre_hooks) for part in module.modules()) == 1


# The default


def test_blocks_are_chosen_before_a_longer_list_of_convolutions():
    recogniser = FromAudio(Audio())
    assert len(recogniser.module.front.layers) > len(recogniser.module.blocks)
    assert [layer.name for layer in choose_layers(recogniser, speech())] == ["front", "blocks.0", "blocks.1"]


def test_several_stacks_of_one_class_are_all_chosen():
    class Stacks(nn.Module):
        def __init__(self):
            super().__init__()
            self.stacks = nn.ModuleList(Small() for _ in range(2))
            self.down = nn.AvgPool1d(2, ceil_mode=True)

        def forward(self, x):
            x = self.down(self.stacks[0](x).transpose(1, 2)).transpose(1, 2)
            return self.stacks[1](x)

    layers = choose_layers(FromFeatures(Stacks()), speech())
    assert [(layer.name, round(layer.stride, 9)) for layer in layers] == [
        ("stacks.0.blocks.0", 0.01),
        ("stacks.0.blocks.1", 0.01),
        ("stacks.1.blocks.0", 0.02),
        ("stacks.1.blocks.1", 0.02),
    ]


def test_without_lists_the_outermost_modules_with_weights_are_chosen():
    class Named(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.act = nn.LSTM(80, 8, batch_first=True), nn.Tanh()
            self.second = nn.Sequential(nn.Linear(8, 8), nn.Tanh())

        def forward(self, x):
            return self.second(self.act(self.first(x)[0]))

    assert [x.name for x in choose_layers(FromFeatures(Named()), speech())] == ["first", "second"]


def test_a_recogniser_whose_own_layers_are_wrong_is_doubted():
    class Wrong(FromFeatures):
        def layers(self):
            return [Layer("blocks.0", 80, 0.04, 1, "linear"), Layer("blocks.7", 80, 0.01, 1, "linear")]

    found = discover(Wrong(Small()), speech())
    assert found.default == ("blocks.0",)
    first, second = found.warnings
    assert first.startswith("the recogniser says Layer(name='blocks.0', units=80, stride=0.04")
    assert second == (
        "the recogniser lists blocks.7 among its layers, but it cannot be captured: there is no such module"
    )


def test_the_window_of_a_recogniser_that_pads_inside_is_the_one_it_says():
    class Even(FromFeatures):
        """Pads to an even number of frames itself, and counts whole pairs only."""

        def forward(self, x, lengths):
            return self.module(nn.functional.pad(x, (0, 0, 0, x.shape[1] % 2)))

        def layers(self):
            return [Layer("0", 8, 0.02, 2, "pairs", window=0.02)]

    class Pairs(nn.Sequential):
        def forward(self, x):
            return super().forward(x.transpose(1, 2))

    recogniser = Even(Pairs(nn.Conv1d(80, 8, 2, stride=2)))
    assert infer_layers(recogniser, ["0"], speech())[0].window == 0.0
    found = discover(recogniser, speech())
    assert (found["0"].layer.stride, found["0"].layer.window) == (0.02, 0.02)
    assert found.warnings == ()


# Text and JSON


def test_the_tree_shows_blocks_alike_once():
    found = discover(FromAudio(Audio()), speech(2.0))
    lines = [line.split() for line in found.as_tree().splitlines()]
    assert [line[:3] for line in lines if line[0] == "*"] == [
        ["*", "front", "Convolutions"],
        ["*", "blocks.0", "Sequential"],
        ["*", "blocks.1", "like"],
    ]
    front = next(line for line in lines if "front" in line)
    assert " ".join(front) == "* front Convolutions 6 × 99 20 ms of 25 ms 678"
    verbose = found.as_tree(verbose=True)
    assert "like" not in verbose
    assert len(verbose.splitlines()) == len(found.rows) - 2  # without the two lists, which are never called
    assert "\n      1" in verbose or "\n    1" in verbose


def test_a_part_that_is_never_called_is_one_line():
    class Unused(Small):
        def __init__(self):
            super().__init__()
            self.head = nn.Sequential(nn.ModuleDict({"deep": nn.Linear(2, 2)}))

    tree = discover(FromFeatures(Unused()), speech()).as_tree()
    assert "deep" not in tree
    assert "head" in tree


def test_the_dictionary_is_json():
    found = discover(FromAudio(Audio()), speech())
    back = json.loads(json.dumps(found.to_dict()))
    assert back["kind"] == "Audio"
    assert back["default"] == ["front", "blocks.0", "blocks.1"]
    row = next(row for row in back["rows"] if row["name"] == "front")
    assert row["layer"]["window"] == pytest.approx(0.025)
    assert row["shapes"] == [[1, 6, 129]]


def test_recognisers_without_torch_modules_list_what_they_find():
    class Elsewhere:
        frame_shift = 0.01

        def prepare(self, speech):
            raise NotImplementedError

        def outputs(self, batch, layers):
            raise NotImplementedError

        def layers(self):
            return [Layer("b", 4, 0.02, 1, "block")]

        def find(self, patterns):
            assert list(patterns) == ["*"]
            return [Layer("a", 3, 0.01, 2, "Conv"), *self.layers()]

    found = discover(Elsewhere(), speech())
    assert [row.layer for row in found.rows] == Elsewhere().find(["*"])
    assert found.default == ("b",)
    assert "* b" in found.as_tree()


# Models of transformers


def whisper():
    sizes = {"encoder_ffn_dim": 32, "decoder_ffn_dim": 32, "encoder_attention_heads": 2, "decoder_attention_heads": 2}
    config = transformers.WhisperConfig(
        d_model=16, encoder_layers=2, decoder_layers=3, vocab_size=60, pad_token_id=0, bos_token_id=1, eos_token_id=2,
        decoder_start_token_id=3, max_source_positions=1500, **sizes,
    )  # fmt: skip
    extractor = transformers.WhisperFeatureExtractor()

    class Whisper(TorchRecogniser):
        frame_shift = 0.01
        module = transformers.WhisperForConditionalGeneration(config).eval()

        def prepare(self, speech):
            made = extractor([one.audio for one in speech], sampling_rate=16_000, return_tensors="pt")
            tokens = [[10 + len(word) for word in one.text.split()] + [2] for one in speech]
            ids = torch.tensor([[3, 4, *own[:-1]] for own in tokens])
            lengths = torch.tensor([len(one.audio) // 160 for one in speech])
            return Batch(
                {"input_features": made["input_features"], "decoder_input_ids": ids},
                lengths,
                Fed(tokens, [[*range(len(own) - 1), -1] for own in tokens], start=1),
            )

        def run(self, batch):
            return self.module(**batch.inputs, use_cache=False)

    return Whisper()


def test_whisper_has_20_ms_a_frame_and_a_decoder_over_tokens():
    torch.manual_seed(0)
    found = discover(whisper(), speech())
    blocks = [f"model.encoder.layers.{i}" for i in range(2)], [f"model.decoder.layers.{i}" for i in range(3)]
    assert list(found.default) == ["model.encoder.conv2", *blocks[0], *blocks[1]]
    layers = {layer.name: layer for layer in found.layers()}
    assert [(layers[n].over, layers[n].stride, layers[n].units) for n in blocks[0]] == [("frames", 0.02, 16)] * 2
    assert [(layers[n].over, layers[n].stride, layers[n].units) for n in blocks[1]] == [("tokens", 1.0, 16)] * 3
    across = found["model.decoder.layers.0.encoder_attn.k_proj"].layer
    assert (across.over, across.stride) == ("frames", 0.02)
    assert found["model.encoder.conv1"].layer.stride == 0.01
    assert found["proj_out"].layer.over == "tokens"


def test_an_utterance_without_text_tells_no_tokens_and_says_so():
    found = discover(whisper(), speech(text=""))
    assert all(row.layer is None or row.layer.over == "frames" for row in found.rows)
    assert any("the utterance has no text" in w for w in found.warnings)


def test_wav2vec2_has_20_ms_a_frame_of_25_ms():
    torch.manual_seed(0)
    config = transformers.Wav2Vec2Config(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, conv_dim=(8,) * 7,
        num_conv_pos_embeddings=16, num_conv_pos_embedding_groups=2, vocab_size=20,
    )  # fmt: skip
    found = discover(FromAudio(transformers.Wav2Vec2ForCTC(config)), speech())
    assert found.default == (
        "wav2vec2.feature_extractor",
        "wav2vec2.encoder.layers.0",
        "wav2vec2.encoder.layers.1",
    )
    for layer in (*found.layers(), found["lm_head"].layer):
        assert (layer.stride, layer.window) == (pytest.approx(0.02, rel=1e-9), pytest.approx(0.025, rel=1e-9))
    assert found["wav2vec2.encoder.layers.1.feed_forward.intermediate_dense"].layer.units == 32
