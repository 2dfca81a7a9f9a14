"""The weights that tests of adapters use are what was pinned, and a wrong or absent package is told."""

import dataclasses

import pytest

from tests import weights as source
from tests.weights import WEIGHTS, Package, Weights, WeightsAbsentError, weights

FILES = {
    "whisper-tiny.en": {"config.json": 2317, "model.bin": 75537502, "tokenizer.json": 2128466},
    "whisper-base": {"config.json": 2309, "model.bin": 2 * 72608766, "tokenizer.json": 2203239},
    "moonshine-base": {"encoder_model.ort": 20661976, "decoder_model_merged.ort": 42703232, "tokenizer.bin": 241639},
    "hama": {"asr_waveform_fp16.onnx": 4996794, "g2p_vocab.json": 220107},
    "snfa": {"jp.npz": 1155228},
}


@pytest.mark.parametrize("name", list(WEIGHTS))
def test_each_model_has_its_files_whole(name, pretrained):
    folder = pretrained(name)
    found = {path.name: path.stat().st_size for path in folder.iterdir()}
    assert FILES[name].items() <= found.items()
    assert not [file for file in found if ".part" in file or file.endswith(".py")]


def test_a_second_call_downloads_nothing(pretrained, monkeypatch):
    first = pretrained("snfa")
    monkeypatch.setattr(source.subprocess, "run", lambda *_a, **_k: pytest.fail("downloaded again"))
    assert weights("snfa") == first


def test_a_package_that_is_not_what_was_pinned_is_refused(pretrained, monkeypatch, tmp_path):
    pretrained("snfa")  # skips where there is no network
    monkeypatch.setenv("OTOSCOPE_WEIGHTS", str(tmp_path))
    (package,) = WEIGHTS["snfa"].packages
    other = dataclasses.replace(package, sha256="0" * 64)
    monkeypatch.setitem(WEIGHTS, "other", Weights("another", (other,)))
    with pytest.raises(ValueError, match="not what was pinned"):
        weights("other")
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]


def test_a_package_that_is_nowhere_is_told(monkeypatch, tmp_path):
    monkeypatch.setenv("OTOSCOPE_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")  # what pip does without a network, at once
    absent = Weights("none", (Package("otoscope-has-no-such-weights==1.0", "0" * 64, "nowhere"),))
    monkeypatch.setitem(WEIGHTS, "none", absent)
    with pytest.raises(WeightsAbsentError, match=r"otoscope-has-no-such-weights==1\.0 could not be downloaded"):
        weights("none")
