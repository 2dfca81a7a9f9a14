"""Every family of speech models of transformers against the library itself: frames, hidden states, decoders."""

import dataclasses
import warnings

import numpy as np
import pytest
import torch

from otoscope import CaptureError
from otoscope.adapters.huggingface import HuggingFaceRecogniser
from otoscope.capture import Recogniser, Speech, to_frames, to_tokens
from tests.adapters.huggingface_small import LAYERS, SMALL, UNITS, speech

# The lengths meet the edges: 18_001 and 12_480 samples end inside a frame or on one, 9_200 = 7 × 1280 + 240 and
# 9_000 = 7 × 1280 + 40 differ by a frame for Parakeet.
LENGTHS = (18_001, 12_480, 9_200, 9_000)

FINAL = {
    "whisper": "model.encoder.layer_norm",
    "moonshine": "model.encoder.layer_norm",
    "speech_to_text": "model.encoder.layer_norm",
    "seamless_m4t": "speech_encoder.inner_layer_norm",  # with an adapter between
    "seamless_m4t_v2": "speech_encoder.inner_layer_norm",
}
"""What puts out the library's last hidden state where it is not the last block, but a norm behind it."""

TOGETHER = {
    "whisper",
    "wav2vec2-layer-norm",
    "hubert",
    "wavlm",
    "wav2vec2-bert",
    "parakeet",
    "unispeech",
    "unispeech-sat",
}
"""Whose utterances run together, for padding does not change their frames."""


@pytest.fixture(scope="module", params=list(SMALL))
def family(request, tmp_path_factory):
    """A family's name, and a recogniser of it."""
    model, extractor, tokeniser = SMALL[request.param].build(tmp_path_factory.mktemp("tokens"))
    return request.param, HuggingFaceRecogniser(model, feature_extractor=extractor, tokeniser=tokeniser)


def library(recogniser, one):
    """The library's own outputs for one utterance: its extractor and model, called as its pages say."""
    features = recogniser.feature_extractor(one.audio, sampling_rate=16_000, return_tensors="pt")
    fed = {}
    if recogniser.structure.decoder is not None:
        fed = {"decoder_input_ids": torch.tensor([[*recogniser.teacher.prompt, *recogniser.tokenise(one.text)]])}
    with torch.inference_mode(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Support for mismatched key_padding_mask")  # WavLM's own
        return recogniser.module(**features, **fed, output_hidden_states=True)


def own(recogniser, speech, names):
    batch = recogniser.prepare(speech)
    return batch, recogniser.outputs(batch, names)


def test_it_is_a_recogniser_and_says_what_it_is(family):
    _, recogniser = family
    assert isinstance(recogniser, Recogniser)
    assert recogniser.name == type(recogniser.module).__name__
    assert recogniser.source == f"{recogniser.name} in memory"
    first, *blocks = recogniser.layers()
    assert first.kind == "front end"
    assert len(blocks) == LAYERS
    assert {layer.units for layer in recogniser.layers()} == {UNITS}
    assert len(recogniser.decoder_layers()) == (2 if recogniser.structure.decoder else 0)


def test_hidden_states_are_the_librarys(family):
    """Utterances of different lengths, captured as a batch, against the library's pass over each alone."""
    name, recogniser = family
    some = speech(*LENGTHS[:3])
    layers = recogniser.layers()[1:]
    final = FINAL.get(name)
    batch, outputs = own(recogniser, some, [*(layer.name for layer in layers), *([final] if final else [])])
    frames = layers[0].frames(batch.lengths.tolist(), recogniser.frame_shift)
    for row, one in enumerate(some):
        said = library(recogniser, one)
        states = said.encoder_hidden_states if "encoder_hidden_states" in said else said.hidden_states
        assert len(states) == LAYERS + 1, "that before the first block comes first"
        for layer, state in zip(layers[:-1] if final else layers, states[1:], strict=not final):
            found = outputs[layer.name][row, : frames[row]]
            torch.testing.assert_close(found, state[0, : frames[row]], atol=1e-5, rtol=0)
        if final:
            n = min(frames[row], states[-1].shape[1])  # SeamlessM4T's adapter has made them fewer
            torch.testing.assert_close(outputs[final][row, :n], states[-1][0, :n], atol=1e-5, rtol=0)


def test_a_batch_is_what_one_by_one_gives(family):
    _, recogniser = family
    some = speech(*LENGTHS[:3])
    layers = [*recogniser.layers(), *recogniser.decoder_layers()]
    names = [layer.name for layer in layers]
    together, seen = own(recogniser, some, names)
    for layer in layers:
        rows = []
        for one in some:
            alone, found = own(recogniser, [one], names)
            rows.append(true(recogniser, layer, alone, found[layer.name])[0])
        batched, counts = true(recogniser, layer, together, seen[layer.name])
        assert counts == [len(row) for row in rows]
        torch.testing.assert_close(batched, torch.cat(rows), atol=1e-5, rtol=0)


def true(recogniser, layer, batch, output):
    if layer.over == "tokens":
        return to_tokens(output, layer, batch.fed)
    return to_frames(output, layer, batch.lengths, recogniser.frame_shift)


def test_what_stands_behind_an_utterance_does_not_count(family):
    """The same utterance beside a longer one: padding never gets among its frames."""
    _, recogniser = family
    short, long = speech(9_200)[0], speech(18_001)[0]
    layer = recogniser.layers()[-1]
    for some in ([short], [short, long]):
        batch, outputs = own(recogniser, some, [layer.name])
        frames, counts = to_frames(outputs[layer.name], layer, batch.lengths, recogniser.frame_shift)
        if len(some) == 1:
            alone, n = frames, counts[0]
        else:
            assert counts[0] == n
            torch.testing.assert_close(frames[:n], alone, atol=1e-5, rtol=0)


def masked(name, recogniser, samples):
    """How many frames the library's own mask (or, without one, its rule) leaves of so many samples."""
    audio, model = speech(samples)[0].audio, recogniser.module
    made = recogniser.feature_extractor(audio, sampling_rate=16_000, return_tensors="pt", return_attention_mask=True)
    mask = made.get("attention_mask")
    if name == "whisper":
        return int(mask[:, ::2].sum())
    if name == "moonshine":
        return int(model._get_feat_extract_output_lengths(torch.tensor(samples)))
    if name == "parakeet":
        return int(model.encoder._get_output_attention_mask(mask).sum())
    if name == "speech_to_text":
        return int(model.model.encoder._get_feature_vector_attention_mask(mask.shape[1], mask).sum())
    if name in ("wav2vec2-bert", "seamless_m4t", "seamless_m4t_v2"):
        return int(mask.sum())
    return int(model._get_feature_vector_attention_mask(2 * samples // 320, torch.ones(1, samples)).sum())


def test_true_frames_are_those_of_the_librarys_own_mask(family):
    name, recogniser = family
    random = np.random.default_rng(2)
    edges = [n for k in (320, 640, 1280) for n in range(6 * k + 80, 7 * k + 80, k // 8)]
    for samples in {*LENGTHS, *edges, *random.integers(4_000, 24_000, 10).tolist()}:
        expected = masked(name, recogniser, samples)
        for layer in recogniser.layers():
            assert layer.frames([samples], recogniser.frame_shift) == [expected], samples


def test_utterances_run_one_by_one_exactly_where_padding_would_change_them(family):
    """What the table of families says of padding is so: the library's own padded batch, against each alone."""
    name, recogniser = family
    assert recogniser.structure.padding_proof == (name in TOGETHER)
    seamless = name.startswith("seamless")
    some = speech(18_001, 10_664 if seamless else 9_200)
    assert len(recogniser.prepare(some).inputs) == (1 if name in TOGETHER else 2)
    if name == "whisper":
        return  # pads everything to 3 seconds here, as it does to 30
    # Padding leaves its blocks as they are, and gets into the adapter behind them, which the decoder hears.
    block = "speech_encoder.adapter.layers.0" if seamless else recogniser.structure.blocks[-1]
    recogniser.structure, before = padded_together(recogniser.structure), recogniser.structure
    try:
        batch, outputs = own(recogniser, some, [block])
        assert len(batch.inputs) == 1
        _, alone = own(recogniser, some[1:], [block])
    finally:
        recogniser.structure = before
    n = recogniser.layers()[-1].frames([len(some[1].audio)], recogniser.frame_shift)[0]
    n = min(n, alone[block].shape[1])  # the adapter makes them fewer
    changed = float((outputs[block][1, :n] - alone[block][0, :n]).abs().max())
    assert (changed < 1e-5) == (name in TOGETHER)


def padded_together(structure):
    family = dataclasses.replace(structure.family, padding_proof=lambda config: True)
    return dataclasses.replace(structure, family=family)


def test_decoder_captures_are_a_plain_forward(family):
    _, recogniser = family
    layers = recogniser.decoder_layers()
    if not layers:
        assert recogniser.teacher is None
        assert recogniser.prepare(speech(9_200)).fed is None
        return
    some = speech(*LENGTHS[:3])
    batch, outputs = own(recogniser, some, [layer.name for layer in layers])
    for row, one in enumerate(some):
        states = library(recogniser, one).decoder_hidden_states
        fed = batch.fed.start + len(batch.fed.tokens[row])
        assert states[0].shape[1] == fed, "prompt and transcript; the end is predicted and not fed"
        # The last state has the final norm applied, which is no part of the last block.
        torch.testing.assert_close(outputs[layers[0].name][row, :fed], states[1][0], atol=1e-5, rtol=0)
        decoder = recogniser.module.get_submodule(recogniser.structure.decoder)
        norm = decoder.norm if hasattr(decoder, "norm") else decoder.layer_norm
        with torch.inference_mode():
            found = norm(outputs[layers[-1].name][row, :fed])
        torch.testing.assert_close(found, states[-1][0], atol=1e-5, rtol=0)


def test_the_decoders_positions_are_those_that_predict_the_transcript(family):
    """From the captured states at these positions the head predicts what it predicts in the library's own pass."""
    _, recogniser = family
    if recogniser.structure.decoder is None:
        return
    some = speech(*LENGTHS[:3])
    batch = recogniser.prepare(some)
    decoder = recogniser.module.get_submodule(recogniser.structure.decoder)
    last = "norm" if hasattr(decoder, "norm") else "layer_norm"
    outputs = recogniser.outputs(batch, [f"{recogniser.structure.decoder}.{last}"])
    (state,) = outputs.values()
    head = recogniser.module.get_output_embeddings()
    for row, one in enumerate(some):
        tokens = batch.fed.tokens[row]
        assert tokens == [*recogniser.tokenise(one.text), recogniser.teacher.end]
        logits = library(recogniser, one).logits[0]
        with torch.inference_mode():
            found = head(state[row, batch.fed.start : batch.fed.start + len(tokens)])
        torch.testing.assert_close(found, logits[len(recogniser.teacher.prompt) - 1 :], atol=1e-5, rtol=0)


def test_encoder_layers_do_not_run_the_decoder(family):
    _, recogniser = family
    if recogniser.structure.decoder is None:
        return
    calls = []
    decoder = recogniser.module.get_submodule(recogniser.structure.decoder)
    handle = decoder.register_forward_hook(lambda *_: calls.append(1))
    try:
        batch = recogniser.prepare(speech(9_200))
        encoder = recogniser.outputs(batch, [layer.name for layer in recogniser.layers()])
        assert calls == []
        both = recogniser.outputs(batch, [*encoder, recogniser.decoder_layers()[0].name])
        assert calls == [1]
    finally:
        handle.remove()
    for layer, output in encoder.items():
        torch.testing.assert_close(output, both[layer], atol=1e-6, rtol=0)


def test_no_hook_is_left_behind(family):
    _, recogniser = family
    before = sum(len(module._forward_hooks) for module in recogniser.module.modules())
    own(recogniser, speech(9_200), [recogniser.layers()[-1].name])
    assert sum(len(module._forward_hooks) for module in recogniser.module.modules()) == before


def test_speech_that_is_too_short_or_too_long_is_refused(family):
    name, recogniser = family
    nothing = np.zeros(0, dtype=np.float32)
    for text, which in (("THE CAT", "the utterance 'THE CAT'"), ("", "an utterance without a transcript")):
        with pytest.raises(CaptureError, match=rf"^{which} has 0 samples, less than one frame of .* leave it out$"):
            recogniser.prepare([*speech(9_200), Speech(nothing, text)])
    if name == "whisper":
        message = (
            r"takes 3 s of speech at once, and the utterance 'THE CAT SAT ON A MAT' has 3\.1 s: leave out the longest"
        )
        with pytest.raises(CaptureError, match=message):
            recogniser.prepare(speech(49_600))


def test_a_model_that_takes_no_speech_is_refused():
    import transformers

    small = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8}
    model = transformers.BertModel(transformers.BertConfig(vocab_size=8, **small))
    with pytest.raises(CaptureError, match=r"BertModel takes input_ids, not speech: expected a model whose main input"):
        HuggingFaceRecogniser(model, feature_extractor=None)


def test_an_extractor_of_another_sample_rate_is_refused(tmp_path):
    import transformers

    model, _, _ = SMALL["hubert"].build(tmp_path)
    extractor = transformers.Wav2Vec2FeatureExtractor(sampling_rate=8_000)
    with pytest.raises(CaptureError, match="takes speech of 8000 Hz, and recognisers are given 16000 Hz"):
        HuggingFaceRecogniser(model, feature_extractor=extractor)


def test_decoder_layers_without_a_tokeniser_are_refused(tmp_path):
    model, extractor, _ = SMALL["whisper"].build(tmp_path)
    recogniser = HuggingFaceRecogniser(model, feature_extractor=extractor)
    batch = recogniser.prepare(speech(9_200))
    assert batch.fed is None
    assert recogniser.outputs(batch, ["model.encoder.layers.0"])["model.encoder.layers.0"].shape == (1, 150, UNITS)
    for ask in (recogniser.outputs, lambda _, names: recogniser.find(names)):
        with pytest.raises(CaptureError, match=r"model\.decoder\.layers\.0 of .* there is no tokeniser for that"):
            ask(batch, ["model.decoder.layers.0"])
    for ask in (recogniser.tokenise, lambda _: recogniser.transcribe(speech(9_200))):
        with pytest.raises(CaptureError, match="tokeniser"):
            ask("CAT")


def test_speech_of_other_precision_and_a_model_of_half_precision_go_together(tmp_path):
    model, extractor, tokeniser = SMALL["whisper"].build(tmp_path)
    recogniser = HuggingFaceRecogniser(model.bfloat16(), feature_extractor=extractor, tokeniser=tokeniser)
    batch = recogniser.prepare(speech(9_200))
    names = ["model.encoder.layers.0", "model.decoder.layers.0"]
    assert {output.dtype for output in recogniser.outputs(batch, names).values()} == {torch.bfloat16}
