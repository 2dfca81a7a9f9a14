"""Whisper from CTranslate2's folders: the values it computes with, in transformers; faults are told."""

import shutil
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from otoscope.adapters.ctranslate2 import load_ctranslate2, whisper_from_ctranslate2
from otoscope.adapters.ctranslate2.model_bin import read_model_bin
from otoscope.capture import Speech
from otoscope.errors import CaptureError
from tests.adapters.hearing import utterances, word_error_rate

FILES = Path(__file__).parent / "ctranslate2_files"
STORED = ["float32", "float16", "bfloat16", "int16", "int8", "int8_bfloat16"]


@pytest.fixture
def folder(tmp_path) -> Path:
    """A tiny whole Whisper, to be spoilt."""
    shutil.copytree(FILES / "int8", tmp_path / "tiny")
    shutil.copy(FILES / "tokenizer.json", tmp_path / "tiny")
    return tmp_path / "tiny"


@pytest.fixture(scope="module")
def speech(corpora_root) -> list[Speech]:
    return utterances(corpora_root)


@pytest.mark.parametrize("stored", STORED)
def test_encoder_and_decoder_compute_what_ctranslate2_computes(stored, tmp_path):
    # computed.npz is CTranslate2's own output, see make.py.
    shutil.copytree(FILES / stored, tmp_path / stored)
    shutil.copy(FILES / "tokenizer.json", tmp_path / stored)
    whisper = whisper_from_ctranslate2(tmp_path / stored)
    computed = np.load(FILES / "computed.npz")
    settings = whisper.model.generation_config
    prompt = [settings.decoder_start_token_id, settings.no_timestamps_token_id]
    tokens = torch.tensor([[*prompt, *computed[f"{stored}.tokens"][:-1]]])
    with torch.inference_mode():
        out = whisper.model(torch.from_numpy(computed["features"]), decoder_input_ids=tokens)
    np.testing.assert_allclose(out.encoder_last_hidden_state, computed[f"{stored}.encoder"], atol=2e-5)
    logits = computed[f"{stored}.logits"]
    allowed = logits > -1e30  # CTranslate2 forbids some tokens
    assert allowed.mean() > 0.9
    np.testing.assert_allclose(out.logits[0, 1:].numpy()[allowed], logits[allowed], atol=1e-4)


def test_the_ways_of_storing_differ_in_what_they_compute():
    # Else the test above could not tell whether scales and bits are read rightly.
    computed = np.load(FILES / "computed.npz")
    exact = computed["float32.encoder"]
    for stored in ("bfloat16", "int16", "int8"):
        assert np.abs(computed[f"{stored}.encoder"] - exact).max() > 1e-3


def test_sizes_come_from_the_weights(folder):
    config = whisper_from_ctranslate2(folder).model.config
    assert (config.encoder_layers, config.decoder_layers, config.encoder_attention_heads) == (2, 2, 4)
    assert (config.d_model, config.encoder_ffn_dim, config.num_mel_bins, config.vocab_size) == (16, 24, 80, 265)
    assert (config.max_source_positions, config.max_target_positions) == (20, 20)


def test_loading_leaves_the_random_state_as_it_was(folder):
    before = torch.get_rng_state()
    whisper_from_ctranslate2(folder)
    assert torch.equal(torch.get_rng_state(), before)


def test_tiny_en_is_read_whole_and_hears(pretrained, speech):
    recogniser = load_ctranslate2(pretrained("whisper-tiny.en"))
    config = recogniser.module.config
    assert (config.d_model, config.encoder_layers, config.encoder_attention_heads, config.vocab_size) == (
        384,
        4,
        6,
        51864,
    )
    assert sum(p.numel() for p in recogniser.module.parameters()) == 37_760_256
    assert recogniser.source == str(pretrained("whisper-tiny.en"))
    assert [layer.name for layer in recogniser.decoder_layers()] == [f"model.decoder.layers.{i}" for i in range(4)]
    heard = recogniser.transcribe(speech)
    assert word_error_rate(speech, heard) < 0.1, heard


def test_base_knows_languages_and_hears(pretrained, speech):
    recogniser = load_ctranslate2(pretrained("whisper-base"))
    settings = recogniser.module.generation_config
    assert settings.is_multilingual
    assert (settings.lang_to_id["<|de|>"], settings.task_to_id["transcribe"]) == (50261, 50359)
    heard = recogniser.transcribe(speech[1:3])
    assert word_error_rate(speech[1:3], heard) < 0.1, heard


def test_base_is_asked_in_the_language_that_is_given(pretrained):
    recogniser = load_ctranslate2(pretrained("whisper-base"), language="de")
    names = recogniser.tokeniser.convert_ids_to_tokens(list(recogniser.teacher.prompt))
    assert names == ["<|startoftranscript|>", "<|de|>", "<|transcribe|>", "<|notimestamps|>"]


def test_blocks_are_captured_under_the_reference_text(pretrained, speech):
    recogniser = load_ctranslate2(pretrained("whisper-tiny.en"))
    batch = recogniser.prepare([Speech(one.audio, one.text.lower()) for one in speech[:2]])
    blocks = recogniser.decoder_layers()
    seen = recogniser.outputs(batch, [layer.name for layer in blocks])
    steps = batch.fed.start + max(map(len, batch.fed.tokens))
    assert {seen[layer.name].shape for layer in blocks} == {(2, steps, 384)}
    assert recogniser.tokeniser.decode(batch.fed.tokens[0][:-1]).strip() == speech[0].text.lower()


# Faults


def refused(folder: Path, match: str) -> None:
    with pytest.raises(CaptureError, match=match):
        whisper_from_ctranslate2(folder)


def test_a_file_that_breaks_off_is_told_with_the_byte(folder):
    content = (folder / "model.bin").read_bytes()
    for kept in (5, 30, 100, len(content) // 2, len(content) - 3):
        (folder / "model.bin").write_bytes(content[:kept])
        refused(folder, rf"model\.bin is damaged: it has {kept} bytes, and breaks off or goes wrong at byte \d+ \(")


def test_every_damaged_byte_of_the_header_ends_in_one_error(folder):
    content = (folder / "model.bin").read_bytes()
    # Version and kind, then, behind the converter's revision, of which nothing depends, the number of variables.
    for at in [*range(18), *range(22, 26)]:
        (folder / "model.bin").write_bytes(content[:at] + bytes([content[at] ^ 0xFF]) + content[at + 1 :])
        refused(folder, "is no model of CTranslate2|is damaged|of the kind|has no weights named|does not fit")


def test_a_file_of_something_else_is_told(folder):
    (folder / "model.bin").write_bytes(b"PK\x03\x04 a pickle in a zip, as torch.save writes it")
    refused(folder, r"^\S+ is no model of CTranslate2: it begins with b'PK\\x03\\x04'")


def test_an_empty_and_an_absent_file_are_told(folder):
    (folder / "model.bin").write_bytes(b"")
    refused(folder, r"model\.bin cannot be read")
    (folder / "model.bin").unlink()
    refused(folder, r"model\.bin cannot be read")


def test_another_kind_of_model_is_told(folder):
    content = (folder / "model.bin").read_bytes()
    (folder / "model.bin").write_bytes(content.replace(b"WhisperSpec\0", b"Wav2Vec2Bx\0\0", 1))
    refused(folder, "holds a model of the kind .*, expected WhisperSpec")


def test_a_missing_weight_is_named(folder):
    content = (folder / "model.bin").read_bytes()
    name = b"encoder/layer_1/self_attention/linear_1/weight"
    (folder / "model.bin").write_bytes(content.replace(name + b"\0", name[:-1] + b"X\0", 1))
    refused(folder, "has no weights named encoder/layer_1/self_attention/linear_1/weight")


def test_int8_without_scales_is_refused(folder):
    content = (folder / "model.bin").read_bytes()
    (folder / "model.bin").write_bytes(content.replace(b"linear_0/weight_scale\0", b"linear_0/weight_other\0"))
    refused(folder, "stores .*linear_0/weight as int8 in a way that is not read")


def test_weights_of_another_shape_are_told(folder):
    path = folder / "model.bin"
    content = bytearray(path.read_bytes())
    at = content.index(b"decoder/layer_norm/beta\0") + len(b"decoder/layer_norm/beta\0")
    assert struct.unpack_from("<BI", content, at) == (1, 16)
    content[at:at] = b""
    struct.pack_into("<BI", content, at, 1, 8)
    size = at + struct.calcsize("<BI") + 1
    struct.pack_into("<I", content, size, 8 * 4)
    del content[size + 4 + 8 * 4 : size + 4 + 16 * 4]
    path.write_bytes(content)
    assert read_model_bin(path).values("decoder/layer_norm/beta").shape == (8,)
    refused(folder, r"does not fit WhisperForConditionalGeneration \(1 weights\): model\.decoder\.layer_norm\.bias of")


def test_a_missing_or_wrong_tokenizer_is_told(folder):
    (folder / "tokenizer.json").write_text("{}", encoding="utf-8")
    refused(folder, r"tokenizer\.json cannot be read as Whisper's tokeniser")
    (folder / "tokenizer.json").unlink()
    refused(folder, r"has no tokenizer\.json\. Copy that of the model it was converted from")


def test_the_tokenizer_of_another_whisper_is_told(pretrained, tmp_path):
    for name in ("model.bin", "config.json"):
        (tmp_path / name).symlink_to(pretrained("whisper-tiny.en") / name)
    (tmp_path / "tokenizer.json").symlink_to(pretrained("whisper-base") / "tokenizer.json")
    refused(tmp_path, "is of another Whisper: .* has number 50363, and in a model with 51864 tokens it is 50362")


def test_a_tokenizer_without_whispers_tokens_is_told(folder):
    path = folder / "tokenizer.json"
    path.write_text(path.read_text(encoding="utf-8").replace("<|notimestamps|>", "<|other|>"), encoding="utf-8")
    refused(folder, r"is not Whisper's: it has no token <\|notimestamps\|>")


def test_without_transformers_the_command_that_installs_it_is_told(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)  # what an absent package looks like to import
    refused(folder, r"pip install 'otoscope\[transformers\]'")


def test_settings_that_are_not_json_are_told(folder):
    (folder / "config.json").write_text("{", encoding="utf-8")
    refused(folder, r"config\.json is not JSON")
