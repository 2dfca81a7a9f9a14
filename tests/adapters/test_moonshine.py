"""Moonshine from .ort files: what onnxruntime computes, in transformers; its tokeniser; faults are told."""

import shutil
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from otoscope.adapters.moonshine import load_moonshine, moonshine_from_ort
from otoscope.adapters.moonshine.tokeniser import pieces, tokeniser_from_bin
from otoscope.adapters.moonshine.weights import MoonshineGraph
from otoscope.capture import Speech
from otoscope.errors import CaptureError
from tests.adapters.hearing import utterances, word_error_rate


@pytest.fixture(scope="module")
def folder(pretrained) -> Path:
    return pretrained("moonshine-base")


@pytest.fixture(scope="module")
def moonshine(folder):
    return load_moonshine(folder)


@pytest.fixture(scope="module")
def tokeniser(folder):
    return tokeniser_from_bin(folder / "tokenizer.bin")


@pytest.fixture(scope="module")
def speech(corpora_root) -> list[Speech]:
    return utterances(corpora_root)


def session(path: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(str(path), options)


def test_the_encoder_computes_what_onnxruntime_computes(moonshine, folder, speech):
    own = session(folder / "encoder_model.ort")
    for one in speech[:2]:
        (expected,) = own.run(None, {"input_values": one.audio[None]})
        with torch.inference_mode():
            found = moonshine.module.model.encoder(torch.from_numpy(one.audio)[None]).last_hidden_state
        np.testing.assert_allclose(found, expected, atol=1e-3)
        assert np.abs(expected).max() > 1


def test_the_decoder_computes_what_onnxruntime_computes(moonshine, folder, speech):
    with torch.inference_mode():
        encoded = moonshine.module.model.encoder(torch.from_numpy(speech[0].audio)[None]).last_hidden_state
    tokens = np.array([[1, *moonshine.tokenise("Northanger Abbey.")]])
    own = session(folder / "decoder_model_merged.ort")
    past = {
        i.name: np.zeros([n if isinstance(n, int) else 0 if "past" in str(n) else 1 for n in i.shape], np.float32)
        for i in own.get_inputs()
        if i.name.startswith("past_key_values")
    }
    fed = {"input_ids": tokens, "encoder_hidden_states": encoded.numpy(), "use_cache_branch": np.array([False])}
    expected = own.run(["logits"], fed | past)[0]
    with torch.inference_mode():
        states = moonshine.module.model.decoder(input_ids=torch.from_numpy(tokens), encoder_hidden_states=encoded)
        found = moonshine.module.proj_out(states.last_hidden_state)
    np.testing.assert_allclose(found, expected, atol=5e-3)
    assert np.abs(expected).max() > 5


def test_sizes_come_from_the_graphs(moonshine, folder):
    config = moonshine.module.config
    assert (config.hidden_size, config.intermediate_size, config.vocab_size) == (416, 1664, 32768)
    assert (config.encoder_num_hidden_layers, config.decoder_num_hidden_layers) == (8, 8)
    assert (config.encoder_num_attention_heads, config.decoder_num_attention_heads) == (8, 8)
    assert config.rope_parameters["rope_theta"] == 10_000
    assert len(moonshine.module.model.encoder.rotary_emb.inv_freq) == 16
    assert moonshine.source == str(folder)


def test_it_hears(moonshine, speech):
    heard = moonshine.transcribe(speech)
    assert word_error_rate(speech, heard) < 0.05, heard


def test_blocks_of_encoder_and_decoder_are_captured(moonshine, speech):
    batch = moonshine.prepare([Speech(one.audio, one.text.capitalize()) for one in speech[:2]])
    layers = [*moonshine.layers(), *moonshine.decoder_layers()]
    seen = moonshine.outputs(batch, [layer.name for layer in layers])
    assert len(layers) == 1 + 8 + 8
    assert all(seen[layer.name].isfinite().all() for layer in layers)


# Its tokeniser


def test_what_the_model_writes_is_taken_apart_into_the_tokens_that_it_wrote(moonshine, tokeniser, speech):
    # The merges are rebuilt from the order of the pieces: the model, which was trained on the true ones, confirms them.
    for one in speech:
        with torch.inference_mode():
            written = moonshine.module.generate(torch.from_numpy(one.audio)[None], max_new_tokens=80)[0].tolist()
        assert (written[0], written[-1]) == (1, 2)
        text = tokeniser.decode(written)
        assert tokeniser.encode(text).ids == moonshine.tokenise(text) == written[1:-1]


def test_text_comes_back_from_its_tokens(tokeniser, speech):
    texts = [one.text for one in speech] + [one.text.lower() for one in speech]
    texts += ["Mr. O'Neill said: “Naïve!” – £5.", "snow ☃, 漢字 and 🎙", "two  spaces", "a", ""]
    for text in texts:
        assert tokeniser.decode(tokeniser.encode(text).ids) == text


def test_characters_without_a_piece_become_bytes(tokeniser):
    assert tokeniser.encode("🎙").tokens == ["▁", "<0xF0>", "<0x9F>", "<0x8E>", "<0x99>"]


def test_pieces_longer_than_127_bytes_have_two_bytes_of_length(tmp_path, folder):
    begin = b"".join(bytes([len(p)]) + p for p in pieces(folder / "tokenizer.bin")[:259])
    path = tmp_path / "tokenizer.bin"
    path.write_bytes(begin + bytes([128 + 300 % 128, 300 // 128]) + b"x" * 300 + b"\x01y")
    assert pieces(path)[259:] == [b"x" * 300, b"y"]


# Faults


def spoilt(folder: Path, copy: Path, name: str, content: bytes) -> Path:
    shutil.copytree(folder, copy)
    (copy / name).write_bytes(content)
    return copy


def test_an_absent_file_is_named(folder, tmp_path):
    shutil.copy(folder / "tokenizer.bin", tmp_path)
    with pytest.raises(CaptureError, match=r"it has no encoder_model\.ort, decoder_model_merged\.ort"):
        moonshine_from_ort(tmp_path)


def test_without_transformers_the_command_that_installs_it_is_told(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)  # what an absent package looks like to import
    with pytest.raises(CaptureError, match=r"pip install 'otoscope\[transformers\]'"):
        moonshine_from_ort(folder)


@pytest.mark.parametrize("name", ["encoder_model.ort", "decoder_model_merged.ort"])
def test_a_truncated_graph_gives_one_error(folder, tmp_path, name):
    content = (folder / name).read_bytes()
    with pytest.raises(CaptureError, match=name):
        moonshine_from_ort(spoilt(folder, tmp_path / "copy", name, content[: len(content) // 2]))


def test_a_foreign_file_gives_one_error(folder, tmp_path):
    with pytest.raises(CaptureError, match=r"encoder_model\.ort is no \.ort file"):
        moonshine_from_ort(spoilt(folder, tmp_path / "copy", "encoder_model.ort", b"\x80\x04 a pickle of something"))


def test_another_graph_gives_one_error(folder, tmp_path):
    decoder = (folder / "decoder_model_merged.ort").read_bytes()
    with pytest.raises(CaptureError, match="holds no Moonshine: its graphs have no weights"):
        moonshine_from_ort(spoilt(folder, tmp_path / "copy", "encoder_model.ort", decoder))


def test_weights_that_are_stored_otherwise_are_told(folder):
    graph = MoonshineGraph(folder / "decoder_model_merged.ort")
    with pytest.raises(CaptureError, match="is made by Transpose, and weights by Cast, Mul and Add only"):
        graph.value("model.decoder.embed_tokens.weight_transposed")


def test_a_damaged_or_foreign_list_of_pieces_gives_one_error(folder, tmp_path):
    content = (folder / "tokenizer.bin").read_bytes()
    path = tmp_path / "tokenizer.bin"
    for damaged, match in (
        (content[:-1], "is damaged: piece 31999 is to have 3 bytes"),
        (b"\x05hello" * 300, "is no tokenizer.bin of Moonshine"),
        (b"", "is no tokenizer.bin of Moonshine"),
        (content + b"\x01\xff", "a piece is no text"),
    ):
        path.write_bytes(damaged)
        with pytest.raises(CaptureError, match=match):
            tokeniser_from_bin(path)
    with pytest.raises(CaptureError, match="cannot be read"):
        tokeniser_from_bin(tmp_path / "absent")
