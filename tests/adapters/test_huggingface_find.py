"""Sub-layers by globs, and models of no family that is known by name."""

import pytest
import torch
import transformers as t

from otoscope import CaptureError, capture, reduce
from otoscope.adapters.huggingface import HuggingFaceRecogniser
from otoscope.capture import to_frames
from tests.adapters.huggingface_small import LAYERS, SMALL, UNITS, convolutional, pieces, speech, waves


def recogniser_of(name, folder):
    model, extractor, tokeniser = SMALL[name].build(folder)
    return HuggingFaceRecogniser(model, feature_extractor=extractor, tokeniser=tokeniser)


PARTS = {
    "whisper": ("model.encoder.layers.*.", ["self_attn", "fc1", "fc2", "final_layer_norm"]),
    "moonshine": ("model.encoder.layers.*.", ["self_attn", "mlp", "input_layernorm"]),
    "wav2vec2": ("wav2vec2.encoder.layers.*.", ["attention", "feed_forward", "final_layer_norm"]),
    "wavlm": ("wavlm.encoder.layers.*.", ["attention", "feed_forward", "final_layer_norm"]),
    "data2vec-audio": ("encoder.layers.*.", ["attention", "feed_forward", "final_layer_norm"]),
    "wav2vec2-conformer": ("encoder.layers.*.", ["self_attn", "conv_module", "ffn2", "final_layer_norm"]),
    "wav2vec2-bert": ("wav2vec2_bert.encoder.layers.*.", ["self_attn", "conv_module", "ffn2", "final_layer_norm"]),
    "parakeet": ("encoder.layers.*.", ["self_attn", "conv", "feed_forward2", "norm_out"]),
    "speech_to_text": ("model.encoder.layers.*.", ["self_attn", "fc1", "fc2", "final_layer_norm"]),
    "seamless_m4t": ("speech_encoder.encoder.layers.*.", ["self_attn", "conv_module", "ffn2", "final_layer_norm"]),
}


@pytest.mark.parametrize("name", PARTS)
def test_attention_feed_forward_and_norms_have_the_frames_of_their_block(name, tmp_path):
    """Padding of features and even kernels may make an output longer: the true frames are the block's."""
    recogniser = recogniser_of(name, tmp_path)
    where, parts = PARTS[name]
    found = recogniser.find([where + part for part in parts])
    assert len(found) == LAYERS * len(parts)
    block = recogniser.layers()[-1]
    for samples in (9_000, 9_200, 9_279, 9_280, 9_281, 10_240):
        expected = block.frames([samples], recogniser.frame_shift)
        assert {tuple(layer.frames([samples], recogniser.frame_shift)) for layer in found} == {tuple(expected)}
    batch = recogniser.prepare(speech(12_480, 9_200))
    outputs = recogniser.outputs(batch, [layer.name for layer in found])
    for layer in found:  # units and axis are as said
        to_frames(outputs[layer.name], layer, batch.lengths, recogniser.frame_shift)
        assert layer.over == "frames"


def test_what_is_found_is_what_a_hook_sees(tmp_path):
    recogniser = recogniser_of("wav2vec2", tmp_path)
    names = ["wav2vec2.encoder.layers.1.attention", "wav2vec2.encoder.layers.1.feed_forward.intermediate_dense"]
    one = speech(9_200)[0]
    values = recogniser.feature_extractor(one.audio, sampling_rate=16_000, return_tensors="pt").input_values
    with torch.inference_mode(), capture(recogniser.module, names) as captured:
        recogniser.module(values)
        expected = captured.take()
    outputs = recogniser.outputs(recogniser.prepare([one]), names)
    for name in names:
        torch.testing.assert_close(outputs[name], expected[name], atol=1e-6, rtol=0)


def test_the_convolutions_of_a_front_end_have_windows_of_their_own(tmp_path):
    recogniser = recogniser_of("wav2vec2", tmp_path)
    found = recogniser.find(["wav2vec2.feature_extractor.conv_layers.*"])
    seen = [(round(layer.stride * 16_000), round(layer.window * 16_000), layer.time_axis) for layer in found]
    assert seen == [(5, 10, 2), (10, 20, 2), (20, 40, 2), (40, 80, 2), (80, 160, 2), (160, 240, 2), (320, 400, 2)]


def test_positions_convolved_with_an_even_kernel_are_cut_to_the_true_frames(tmp_path):
    recogniser = recogniser_of("wav2vec2", tmp_path)
    (layer,) = recogniser.find(["wav2vec2.encoder.pos_conv_embed.conv"])
    batch = recogniser.prepare(speech(9_200))
    output = recogniser.outputs(batch, [layer.name])[layer.name]
    _, counts = to_frames(output, layer, batch.lengths, recogniser.frame_shift)
    assert counts == recogniser.layers()[-1].frames([9_200], recogniser.frame_shift)
    assert output.shape[2] == counts[0] + 1


def test_parts_of_a_decoder_run_over_tokens_and_what_it_reads_of_the_encoder_over_frames(tmp_path):
    recogniser = recogniser_of("whisper", tmp_path)
    where = "model.decoder.layers.0."
    found = recogniser.find([where + "self_attn", where + "encoder_attn", where + "encoder_attn.k_proj", where + "fc1"])
    seen = {layer.name.removeprefix(where): (layer.over, layer.units, layer.stride) for layer in found}
    assert seen == {
        "self_attn": ("tokens", UNITS, 1.0),
        "encoder_attn": ("tokens", UNITS, 1.0),
        "encoder_attn.k_proj": ("frames", UNITS, 0.02),
        "fc1": ("tokens", 32, 1.0),
    }


def test_a_head_is_found_beside_the_blocks(tmp_path):
    (layer,) = recogniser_of("wav2vec2", tmp_path).find(["lm_head"])
    assert (layer.units, layer.stride, layer.window) == (31, 0.02, 0.025)


def test_a_wrong_glob_and_weights_that_are_used_directly_are_refused(tmp_path):
    recogniser = recogniser_of("wavlm", tmp_path)
    with pytest.raises(CaptureError, match=r"no layer matches 'encoder\.blocks\.\*'"):
        recogniser.find(["encoder.blocks.*"])
    with pytest.raises(CaptureError, match=r"attention\.q_proj cannot be captured: the forward pass does not call it"):
        recogniser.find(["wavlm.encoder.layers.0.attention.q_proj"])


def test_a_family_that_is_not_known_is_looked_into_all_the_same():
    """SEW halves the rate before its blocks: found out by running it."""
    torch.manual_seed(0)
    convolutions = {"conv_kernel": (10, 3, 3, 3, 3, 2, 2), "conv_stride": (5, 2, 2, 2, 2, 2, 2)}
    model = t.SEWModel(convolutional(t.SEWConfig, "layer", squeeze_factor=2, **convolutions)).eval()
    recogniser = HuggingFaceRecogniser(model, feature_extractor=waves("layer"))
    layers = recogniser.layers()
    assert [layer.name for layer in layers] == [f"encoder.layers.{i}" for i in range(LAYERS)]
    assert {(layer.units, layer.stride, layer.over) for layer in layers} == {(UNITS, 0.04, "frames")}
    some = speech(18_001, 9_200)
    batch = recogniser.prepare(some)
    assert len(batch.inputs) == 2, "what padding does is not known: one by one"
    outputs = recogniser.outputs(batch, [layer.name for layer in layers])
    for row, one in enumerate(some):
        values = recogniser.feature_extractor(one.audio, sampling_rate=16_000, return_tensors="pt").input_values
        with torch.inference_mode():
            states = model(values, output_hidden_states=True).hidden_states
        for layer, state in zip(layers, states[1:], strict=True):
            n = layer.frames([len(one.audio)], recogniser.frame_shift)[0]
            assert n == state.shape[1]
            torch.testing.assert_close(outputs[layer.name][row, :n], state[0], atol=1e-5, rtol=0)


def test_an_encoder_of_a_known_family_is_known_under_any_head(tmp_path):
    """A wav2vec 2.0 with a text decoder of another library's making behind it."""
    torch.manual_seed(0)
    small = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
    bert = t.BertConfig(vocab_size=40, is_decoder=True, add_cross_attention=True, **small)
    config = t.SpeechEncoderDecoderConfig.from_encoder_decoder_configs(convolutional(t.Wav2Vec2Config, "layer"), bert)
    config.decoder_start_token_id, config.eos_token_id, config.pad_token_id = 0, 2, 1
    model = t.SpeechEncoderDecoderModel(config=config).eval()
    model.generation_config.decoder_start_token_id, model.generation_config.eos_token_id = 0, 2
    tokeniser = pieces(tmp_path, slow=False)
    recogniser = HuggingFaceRecogniser(model, feature_extractor=waves("layer"), tokeniser=tokeniser)
    assert [layer.name for layer in recogniser.layers()][:2] == [
        "encoder.feature_projection",
        "encoder.encoder.layers.0",
    ]
    decoder = recogniser.decoder_layers()
    assert [(layer.units, layer.over) for layer in decoder] == [(16, "tokens")] * 2
    one = speech(9_200)[0]
    batch = recogniser.prepare([one])
    outputs = recogniser.outputs(batch, [layer.name for layer in decoder])
    values = recogniser.feature_extractor(one.audio, sampling_rate=16_000, return_tensors="pt").input_values
    fed = torch.tensor([[0, *tokeniser(one.text, add_special_tokens=False)["input_ids"]]])
    with torch.inference_mode():
        states = model(values, decoder_input_ids=fed, output_hidden_states=True).decoder_hidden_states
    for layer, state in zip(decoder, states[1:], strict=True):
        torch.testing.assert_close(outputs[layer.name], state, atol=1e-5, rtol=0)


def test_models_of_different_rates_and_widths_lie_on_one_grid(tmp_path):
    """The way to similarity: two families side by side, each with what it makes of the same speech."""
    models = {name: recogniser_of(name, tmp_path) for name in ("whisper", "moonshine")}
    some = speech(30_000, 20_000)
    moments = reduce(models, [{name: model.prepare(some) for name, model in models.items()}])
    assert {name.partition(":")[0] for name in moments.widths} == set(models)
    frames = [model.layers()[0].frames([30_000, 20_000], 1 / 16_000) for model in models.values()]
    assert moments.frames == sum(frames[1]), "Moonshine's 24 ms are the coarser"
