"""Every encoder with every option: padding, lengths, gradients, files; and the LSTM against PyTorch's own."""

import json

import pytest
import torch
from safetensors import safe_open
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from otoscope import TrainingError
from otoscope.asr import ARCHITECTURES, STRIDE, ReferenceRecogniser, pad
from otoscope.asr.models.cnn import Cnn, CnnConfig
from otoscope.asr.models.lstm import Block, Lstm, LstmConfig
from otoscope.asr.models.transformer import Transformer, TransformerConfig
from otoscope.asr.objectives import losses
from otoscope.files import save_tensors
from tests.asr.models.variants import DECODERS, ENCODERS, HEADS, SIZES, TOKENS, utterances


@pytest.fixture(params=sorted(ENCODERS))
def recogniser(request):
    torch.manual_seed(0)
    recogniser = ReferenceRecogniser(ENCODERS[request.param], TOKENS)
    recogniser.module.eval()
    return recogniser


def test_every_architecture_is_among_those_tested():
    assert {ReferenceRecogniser(config, TOKENS).architecture for config in ENCODERS.values()} == set(ARCHITECTURES)


@torch.no_grad()
def test_padding_and_company_never_change_an_utterances_output(recogniser):
    alone = [(recogniser.forward(*pad([u]))[0], recogniser.encode(*pad([u]))) for u in utterances(203, 98, 41, 1)]
    batch = pad(utterances(203, 98, 41, 1))
    together, lengths = recogniser.forward(*batch)
    encoded = recogniser.encode(*batch)
    for i, (n, (output, own)) in enumerate(zip(lengths.tolist(), alone, strict=True)):
        torch.testing.assert_close(together[i, :n], output[0], rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(encoded.hidden[i, :n], own.hidden[0], rtol=1e-5, atol=1e-5)
        for ours, theirs in zip(encoded.intermediate, own.intermediate, strict=True):
            torch.testing.assert_close(ours[i, :n], theirs[0], rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_what_stands_in_the_padding_does_not_matter(recogniser):
    features, lengths = pad(utterances(203, 98))
    features_with_rubbish = torch.cat([features, torch.full((2, 37, 80), -50.0)], dim=1)
    features_with_rubbish[1, 98:] = 1e3
    clean, n = recogniser.forward(features, lengths)
    dirty, _ = recogniser.forward(features_with_rubbish, lengths)
    for i in range(2):
        torch.testing.assert_close(dirty[i, : n[i]], clean[i, : n[i]], rtol=1e-5, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("frames", [1, 3, 4, 5, 97, 100])
def test_an_output_frame_covers_four_input_frames(recogniser, frames):
    log_probs, lengths = recogniser.forward(*pad(utterances(frames)))
    assert lengths.tolist() == [-(-frames // STRIDE)]
    assert log_probs.shape == (1, lengths[0], len(TOKENS))
    torch.testing.assert_close(log_probs.exp().sum(-1), torch.ones(1, lengths[0]))
    hidden = recogniser.encode(*pad(utterances(frames))).hidden
    assert hidden.shape == (1, lengths[0], recogniser.module.width)


@pytest.mark.parametrize("decoder", sorted(DECODERS))
def test_gradients_reach_every_weight(recogniser, decoder):
    torch.manual_seed(0)
    trained = ReferenceRecogniser(recogniser.config, TOKENS, decoder=DECODERS[decoder])
    targets = [TOKENS.encode("ABBA C"), TOKENS.encode("CAB")]
    found = losses(trained, *pad(utterances(203, 98)), targets, ctc_weight=0.5, label_smoothing=0.1)
    found.total.sum().backward()
    for name, weight in trained.module.named_parameters():
        assert weight.grad is not None, name
        assert weight.grad.abs().max() > 0, name


@pytest.mark.parametrize("decoder", [None, *sorted(DECODERS)])
def test_a_saved_recogniser_comes_back_the_same(recogniser, decoder, tmp_path):
    config = DECODERS.get(decoder)
    recogniser = ReferenceRecogniser(recogniser.config, TOKENS, decoder=config, step=7)
    recogniser.module.eval()
    recogniser.save(tmp_path / "r.safetensors")
    back = ReferenceRecogniser.load(tmp_path / "r.safetensors")
    batch = pad(utterances(50, 80))
    assert torch.equal(back.forward(*batch)[0], recogniser.forward(*batch)[0])
    assert (back.step, back.config, back.decoder, back.tokens) == (7, recogniser.config, config, recogniser.tokens)
    before, after = recogniser.module.state_dict(), back.module.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) for key in before)


def test_checkpoints_of_the_first_version_are_read(tmp_path):
    """They say nothing of decoders and of settings that came later, and hold characters as a list."""
    recogniser = ReferenceRecogniser(TransformerConfig(**SIZES, **HEADS), TOKENS, step=3)
    recogniser.save(tmp_path / "new.safetensors")
    with safe_open(str(tmp_path / "new.safetensors"), framework="pt") as file:
        about = json.loads(file.metadata()["recogniser"])
        weights = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    first = {"blocks": 3, "units": 24, "heads": 2, "feed_forward": 40, "dropout": 0.1}
    old = {"format": about["format"], "architecture": "transformer", "config": first, "step": 3}
    old["tokens"] = list(TOKENS.characters)
    save_tensors(tmp_path / "old.safetensors", weights, {"recogniser": json.dumps(old)})
    back = ReferenceRecogniser.load(tmp_path / "old.safetensors")
    assert (back.config, back.tokens, back.decoder) == (recogniser.config, TOKENS, None)
    batch = pad(utterances(50))
    recogniser.module.eval()
    assert torch.equal(back.forward(*batch)[0], recogniser.forward(*batch)[0])


def test_a_safetensors_file_of_others_is_refused(tmp_path):
    save_tensors(tmp_path / "r.safetensors", {"x": torch.zeros(1)}, {"format": "theirs"})
    with pytest.raises(TrainingError, match="not a checkpoint of an Otoscope recogniser"):
        ReferenceRecogniser.load(tmp_path / "r.safetensors")


def test_equal_recognisers_are_equal_files(recogniser, tmp_path):
    """What a killed run writes again must be the same to the byte: a study knows checkpoints by their hash."""
    files = [tmp_path / f"{i}.safetensors" for i in range(4)]
    for path in files:
        recogniser.save(path)
    assert len({path.read_bytes() for path in files}) == 1


@torch.no_grad()
def test_every_layer_named_is_a_module_of_the_stated_width(recogniser):
    outputs = {}
    for layer in recogniser.layers():
        module = recogniser.module.get_submodule(layer.name)
        module.register_forward_hook(lambda _m, _i, output, name=layer.name: outputs.update({name: output}))
    recogniser.forward(*pad(utterances(100)))
    assert [layer.name for layer in recogniser.layers()] == ["subsample", "blocks.0", "blocks.1", "blocks.2"]
    for layer in recogniser.layers():
        output = outputs[layer.name]
        output = output[0] if isinstance(output, tuple) else output
        assert output.shape == ((1, 25, layer.units) if layer.time_axis == 1 else (1, layer.units, 25))
        assert layer.stride == pytest.approx(0.04)


def test_the_layers_of_a_decoder_have_its_name_before_theirs():
    recogniser = ReferenceRecogniser(ENCODERS["lstm"], TOKENS, decoder=DECODERS["transformer"])
    names = [name for name, _ in recogniser.module.named_modules()]
    assert {"blocks.0", "decoder.blocks.0", "decoder.blocks.1"} <= set(names)
    assert [layer.name for layer in recogniser.layers()] == ["subsample", "blocks.0", "blocks.1", "blocks.2"]


@torch.no_grad()
def test_bfloat16_gives_about_the_same(recogniser):
    batch = pad(utterances(120, 90))
    exact, lengths = recogniser.forward(*batch)
    with torch.autocast("cpu", torch.bfloat16):
        rough, _ = recogniser.forward(*batch)
    assert rough.dtype == torch.float32
    for i, n in enumerate(lengths.tolist()):
        torch.testing.assert_close(rough[i, :n], exact[i, :n], atol=0.1, rtol=0)


class OneDevice(TorchDispatchMode):
    """Refuses operations on tensors of two devices, as a GPU would."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        tensors = [x for x in tree_leaves((args, kwargs)) if isinstance(x, torch.Tensor) and x.dim()]
        assert len({x.device for x in tensors}) <= 1, function
        return function(*args, **(kwargs or {}))


@torch.no_grad()
@pytest.mark.parametrize("decoder", sorted(DECODERS))
def test_everything_is_made_on_the_device_of_the_input(recogniser, decoder):
    elsewhere = torch.device("meta")
    recogniser = ReferenceRecogniser(recogniser.config, TOKENS, decoder=DECODERS[decoder])
    recogniser.module.to(elsewhere)
    prefix = torch.zeros(2, 4, dtype=torch.long, device=elsewhere)
    features, lengths = (x.to(elsewhere) for x in pad(utterances(60, 40)))
    with OneDevice():
        encoded = recogniser.encode(features, lengths)
        log_probs = recogniser.module.decoder(encoded.hidden, encoded.lengths, prefix)
        state = recogniser.module.decoder.start(encoded.hidden, encoded.lengths)
        step, _ = recogniser.module.decoder.step(state, prefix[:, 0])
    for made in (recogniser.module.ctc(encoded.hidden), log_probs, step, encoded.lengths, *encoded.intermediate):
        assert made.device == elsewhere


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


@torch.no_grad()
@pytest.mark.parametrize("bidirectional", [True, False])
def test_the_future_reaches_the_first_frame_of_a_bidirectional_lstm_only(bidirectional):
    torch.manual_seed(0)
    module = Lstm(80, 4, LstmConfig(blocks=2, units=8, bidirectional=bidirectional)).eval()
    features, lengths = pad(utterances(80))
    changed = features.clone()
    changed[0, -1] += 5
    before, after = (module(x, lengths)[0][0] for x in (features, changed))
    assert torch.equal(before[0], after[0]) != bidirectional
    assert not torch.equal(before[-1], after[-1])


def test_a_separable_convolution_has_a_kernels_share_of_the_weights():
    plain, separable = (Cnn(80, 9, CnnConfig(blocks=4, units=64, kernel=11, separable=s)) for s in (False, True))
    count = [sum(p.numel() for p in m.blocks.parameters()) for m in (plain, separable)]
    norm = 2 * 64
    assert count == [4 * (norm + 64 * 64 * 11 + 64), 4 * (norm + 64 * 11 + 64 + 64 * 64 + 64)]


@torch.no_grad()
def test_layer_drop_leaves_whole_blocks_out_in_training_only():
    config = TransformerConfig(blocks=6, units=24, **HEADS, dropout=0.0, layer_drop=0.5)
    torch.manual_seed(0)
    module = Transformer(80, 5, config)
    batch = pad(utterances(60))
    called = []
    for i, block in enumerate(module.blocks):
        block.register_forward_hook(lambda *_, i=i: called.append(i))
    counts = []
    for seed in range(60):
        torch.manual_seed(seed)
        called.clear()
        module(*batch)
        counts.append(len(called))
        before = list(called)
        torch.manual_seed(seed)
        called.clear()
        module(*pad(utterances(35, 90)))  # another batch, the same draw: processes drop the same blocks
        assert called == before
    assert 2.5 < sum(counts) / 60 < 3.5
    module.eval()
    called.clear()
    module(*batch)
    assert called == list(range(6))


@torch.no_grad()
@pytest.mark.parametrize("name", ["cnn", "lstm", "transformer", "conformer"])
def test_conditioning_adds_what_the_intermediate_output_predicts(name):
    recogniser = ReferenceRecogniser(ENCODERS[f"{name}-conditioned"], TOKENS)
    module = recogniser.module.eval()
    entered, left = {}, {}
    for i, block in enumerate(module.blocks):
        block.register_forward_hook(lambda _m, inputs, _o, i=i: entered.update({i: inputs[0]}))
        block.register_forward_hook(lambda _m, _i, output, i=i: left.update({i: output}))
    found = recogniser.encode(*pad(utterances(60)))
    assert len(found.intermediate) == 2
    if name == "cnn":  # (batch, channels, frames)
        entered, left = ({i: x.transpose(1, 2) for i, x in seen.items()} for seen in (entered, left))
    for i, log_probs in enumerate(found.intermediate):
        torch.testing.assert_close(log_probs, module.output(module.norm(left[i])).log_softmax(-1))
        torch.testing.assert_close(entered[i + 1], left[i] + module.conditioning(log_probs.exp()))
