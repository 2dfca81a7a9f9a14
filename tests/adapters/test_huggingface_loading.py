"""Models of transformers from folders and by name: what is read, and what is refused."""

import builtins
import json
import pickle
import shutil

import pytest
import torch
import transformers as t
from safetensors.torch import load_file, save_file

from otoscope import CaptureError
from otoscope.adapters.huggingface import load_huggingface
from tests.adapters.huggingface_small import SMALL, speech

HEADS = {
    "sequence to sequence": "whisper",
    "sequence to sequence, sentencepiece": "speech_to_text",
    "CTC": "wav2vec2",
    "CTC, extractor in a processor": "parakeet",
    "base": "hubert",
    "speech and text": "seamless_m4t",
}


def saved(name, folder):
    """A small model as `save_pretrained` leaves it, with its extractor and tokeniser."""
    parts = SMALL[name].build(folder.parent)
    for part in parts:
        if part is not None:
            part.save_pretrained(folder)
    return parts


@pytest.fixture
def whisper(tmp_path):
    folder = tmp_path / "whisper-small"
    saved("whisper", folder)
    return folder


@pytest.mark.parametrize("name", HEADS.values(), ids=list(HEADS))
def test_what_was_saved_is_what_is_loaded(name, tmp_path):
    folder = tmp_path / "model"
    model, _, tokeniser = saved(name, folder)
    recogniser = load_huggingface(folder)
    assert type(recogniser.module) is type(model)
    assert not recogniser.module.training
    assert (recogniser.name, recogniser.source) == ("model", str(folder.resolve()))
    loaded = recogniser.module.state_dict()
    for key, tensor in model.state_dict().items():
        assert torch.equal(loaded[key], tensor), key
    assert (recogniser.tokeniser is None) == (tokeniser is None)
    names = [layer.name for layer in [*recogniser.layers(), *recogniser.decoder_layers()]]
    assert set(recogniser.outputs(recogniser.prepare(speech(9_200)), names)) == set(names)
    if tokeniser is not None:
        assert (
            recogniser.tokenise("THE CAT")
            == tokeniser(" THE CAT" if name == "whisper" else "THE CAT", add_special_tokens=False)["input_ids"]
        )


def test_an_extractor_that_only_a_processor_has_is_found(tmp_path):
    model, extractor, tokeniser = SMALL["wav2vec2"].build(tmp_path)
    model.save_pretrained(tmp_path / "model")
    t.Wav2Vec2Processor(extractor, tokeniser).save_pretrained(tmp_path / "model")
    recogniser = load_huggingface(tmp_path / "model")
    assert isinstance(recogniser.feature_extractor, t.Wav2Vec2FeatureExtractor)
    assert recogniser.tokenise("CAT") == tokeniser("CAT")["input_ids"]


def test_half_precision_weights_are_read_as_float32(tmp_path):
    model, extractor, _ = SMALL["hubert"].build(tmp_path)
    model.half().save_pretrained(tmp_path / "model")
    extractor.save_pretrained(tmp_path / "model")
    assert {p.dtype for p in load_huggingface(tmp_path / "model").module.parameters()} == {torch.float32}


def test_weights_of_another_checkpoint_take_the_place_of_the_folders(whisper, tmp_path):
    changed = {key: tensor + 1 for key, tensor in load_file(whisper / "model.safetensors").items()}
    (tmp_path / "checkpoint-20").mkdir()
    save_file(changed, tmp_path / "checkpoint-20" / "model.safetensors")
    for weights in (tmp_path / "checkpoint-20", tmp_path / "checkpoint-20" / "model.safetensors"):
        recogniser = load_huggingface(whisper, weights=weights)
        assert recogniser.source == str(weights.resolve())
        state = recogniser.module.state_dict()
        for key in ("model.encoder.layers.0.fc1.weight", "model.decoder.layers.1.fc2.bias"):
            assert torch.equal(state[key], changed[key])


def test_the_librarys_own_reports_are_off_only_while_it_loads(whisper, capfd):
    before = t.utils.logging.get_verbosity(), t.utils.logging.is_progress_bar_enabled()
    capfd.readouterr()
    load_huggingface(whisper)
    assert capfd.readouterr().err == ""
    assert (t.utils.logging.get_verbosity(), t.utils.logging.is_progress_bar_enabled()) == before


# What is refused


class Dangerous:
    """What would leave a file behind if it were unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return (open, (self.path, "w"))


def test_a_pickle_is_never_read(whisper, tmp_path):
    (whisper / "model.safetensors").unlink()
    (whisper / "pytorch_model.bin").write_bytes(pickle.dumps(Dangerous(tmp_path / "run")))
    message = r"has its weights as a pickle \(pytorch_model\.bin\).*save_pretrained.*spaces/safetensors/convert"
    with pytest.raises(CaptureError, match=message):
        load_huggingface(whisper)
    with pytest.raises(CaptureError, match=message):
        load_huggingface(whisper, weights=whisper)
    with pytest.raises(
        CaptureError, match=r"pytorch_model\.bin is no safetensors file, and models of transformers take"
    ):
        load_huggingface(whisper, weights=whisper / "pytorch_model.bin")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("kept", [0, 6, 2_000])
def test_damaged_weights_are_one_clear_error(whisper, kept):
    file = whisper / "model.safetensors"
    file.write_bytes(file.read_bytes()[:kept])
    for weights in (None, file):
        with pytest.raises(
            CaptureError, match=r"cannot be read as safetensors|is empty: its writing was cut off"
        ) as caught:
            load_huggingface(whisper, weights=weights)
        assert "\n" not in str(caught.value)


def test_weights_that_are_not_all_there_are_refused(whisper):
    some = load_file(whisper / "model.safetensors")
    del some["model.encoder.layers.1.fc1.weight"]
    save_file(some, whisper / "model.safetensors", {"format": "pt"})
    with pytest.raises(CaptureError, match=r"lacks 1 of the weights .* model\.encoder\.layers\.1\.fc1\.weight"):
        load_huggingface(whisper)


def test_weights_of_another_size_are_refused(whisper):
    some = load_file(whisper / "model.safetensors")
    some["model.encoder.layers.1.fc1.weight"] = torch.zeros(7, 7)
    save_file(some, whisper / "model.safetensors", {"format": "pt"})
    with pytest.raises(CaptureError, match=r"whisper-small cannot be loaded"):
        load_huggingface(whisper)


def test_a_model_without_a_speech_encoder_is_refused(tmp_path):
    config = t.BertConfig(vocab_size=8, hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8)
    t.BertModel(config).save_pretrained(tmp_path / "bert")
    with pytest.raises(CaptureError, match=r"is a BertModel, which takes input_ids and not speech"):
        load_huggingface(tmp_path / "bert")


def test_a_folder_without_a_feature_extractor_is_refused(whisper):
    for file in ("preprocessor_config.json", "processor_config.json"):
        (whisper / file).unlink(missing_ok=True)
    with pytest.raises(CaptureError, match=r"whisper-small cannot be loaded as a speech model .*preprocessor_config"):
        load_huggingface(whisper)


def test_a_damaged_tokeniser_is_refused(whisper):
    (whisper / "tokenizer.json").write_text("{")
    with pytest.raises(CaptureError, match=r"whisper-small cannot be loaded as a speech model of transformers"):
        load_huggingface(whisper)


def test_a_configuration_of_an_unknown_kind_is_refused(whisper):
    config = json.loads((whisper / "config.json").read_text())
    (whisper / "config.json").write_text(json.dumps({**config, "model_type": "hearing-aid", "architectures": ["Aid"]}))
    with pytest.raises(CaptureError, match=r"cannot be loaded as a speech model of transformers: .*hearing-aid"):
        load_huggingface(whisper)
    (whisper / "config.json").write_text("{")
    with pytest.raises(CaptureError, match=r"whisper-small cannot be loaded as a speech model of transformers"):
        load_huggingface(whisper)


def test_code_that_comes_with_a_model_is_not_run(whisper, tmp_path):
    config = json.loads((whisper / "config.json").read_text())
    own = {"model_type": "hearing-aid", "auto_map": {"AutoConfig": "aid.Config", "AutoModel": "aid.Model"}}
    (whisper / "config.json").write_text(json.dumps({**config, **own}))
    (whisper / "aid.py").write_text(f"open({str(tmp_path / 'run')!r}, 'w')\n")
    with pytest.raises(CaptureError, match=r"brings Python code of its own, .*trust_remote_code=True"):
        load_huggingface(whisper)
    assert not (tmp_path / "run").exists()


def test_code_that_comes_with_a_model_is_run_where_it_is_trusted(tmp_path, monkeypatch):
    from transformers import dynamic_module_utils

    monkeypatch.setattr(dynamic_module_utils, "HF_MODULES_CACHE", str(tmp_path / "modules"))
    monkeypatch.syspath_prepend(str(tmp_path / "modules"))
    model, extractor, _ = SMALL["hubert"].build(tmp_path)
    folder = tmp_path / "model"
    model.save_pretrained(folder)
    extractor.save_pretrained(folder)
    config = json.loads((folder / "config.json").read_text())
    named = {"AutoConfig": "aid.AidConfig", "AutoModel": "aid.AidModel"}
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "hearing-aid", "auto_map": named}))
    (folder / "aid.py").write_text(
        "from transformers import HubertConfig, HubertModel\n\n\n"
        "class AidConfig(HubertConfig):\n    model_type = 'hearing-aid'\n\n\n"
        "class AidModel(HubertModel):\n    config_class = AidConfig\n"
    )
    recogniser = load_huggingface(folder, trust_remote_code=True)
    assert type(recogniser.module).__name__ == "AidModel"
    assert [layer.name for layer in recogniser.layers()] == [f"encoder.layers.{i}" for i in range(3)]


@pytest.mark.parametrize("offline", [False, True], ids=["unreachable", "offline mode"])
def test_a_name_on_the_hub_without_a_network_is_one_clear_error(offline, monkeypatch, capfd):
    # A port that nothing listens on stands for the hub: connecting fails. The hub's library waits between its tries.
    import huggingface_hub.constants as hub

    nowhere = "http://127.0.0.1:9"
    monkeypatch.setattr(hub, "ENDPOINT", nowhere)
    monkeypatch.setattr(hub, "HUGGINGFACE_CO_URL_TEMPLATE", nowhere + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(hub, "HF_HUB_OFFLINE", offline)
    monkeypatch.setattr("time.sleep", pytest.fail)  # the hub's own library would try again and again
    with pytest.raises(CaptureError, match=r"some/model is no folder here and cannot be fetched: .*out of reach") as e:
        load_huggingface("some/model")
    assert "\n" not in str(e.value)
    assert capfd.readouterr().err == ""


COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def downloaded(whisper, monkeypatch, tmp_path):
    """A model in the hub's cache as a download leaves it, and no network: its branch, its commit, its files."""
    import huggingface_hub.constants as hub

    cache = tmp_path / "hub" / "models--some--whisper"
    shutil.copytree(whisper, cache / "snapshots" / COMMIT)
    (cache / "refs").mkdir()
    (cache / "refs" / "main").write_text(COMMIT)
    monkeypatch.setattr(hub, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(hub, "HF_HUB_OFFLINE", True)
    return cache


def test_a_name_on_the_hub_is_pinned_to_the_commit_that_it_stood_for(downloaded):
    recogniser = load_huggingface("some/whisper")
    assert (recogniser.name, recogniser.source) == ("some/whisper", f"some/whisper@{COMMIT}")
    assert recogniser.tokeniser is not None
    assert load_huggingface("some/whisper", revision=COMMIT).source == f"some/whisper@{COMMIT}"
    with pytest.raises(CaptureError, match="some/whisper"):
        load_huggingface("some/whisper", revision="f" * 40)


def test_a_revision_whose_commit_cannot_be_told_is_refused(whisper, monkeypatch):
    """As where another library keeps the cache: no snapshots by commit."""
    monkeypatch.setattr(t.utils, "cached_file", lambda name, file, **settings: str(whisper / file))
    with pytest.raises(CaptureError, match=r"which commit main of some/whisper stands for cannot be told: .*snapshot"):
        load_huggingface("some/whisper")


def test_a_pickle_on_the_hub_is_not_read(downloaded, tmp_path):
    (downloaded / "snapshots" / COMMIT / "model.safetensors").unlink()
    (downloaded / "snapshots" / COMMIT / "pytorch_model.bin").write_bytes(pickle.dumps(Dangerous(tmp_path / "run")))
    absent = downloaded / ".no_exist" / COMMIT  # how the cache remembers what the hub has not
    absent.mkdir(parents=True)
    for file in ("model.safetensors", "model.safetensors.index.json"):
        (absent / file).touch()
    with pytest.raises(CaptureError, match=r"some/whisper has no safetensors weights, and pickles are not read: where"):
        load_huggingface("some/whisper")
    assert not (tmp_path / "run").exists()


def test_without_transformers_the_message_says_what_to_install(monkeypatch, tmp_path):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name == "transformers":
            raise ModuleNotFoundError(f"No module named {name!r}")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(CaptureError, match=r"pip install 'otoscope\[transformers\]'"):
        load_huggingface(tmp_path)
