"""Any recogniser by its name or path: the right adapter for each, and what is refused."""

import subprocess
import sys

import pytest
import torch

from otoscope import CaptureError, ReferenceRecogniser, TrainingError, load_recogniser


def last_checkpoint(study, run):
    return max((study / "recognisers" / run / "checkpoints").glob("*.safetensors"))


def test_a_checkpoint_of_ours(finished_study):
    path = last_checkpoint(finished_study, "cnn/seed0")
    for name in (path, str(path)):
        assert isinstance(load_recogniser(name), ReferenceRecogniser)


def test_layers_inside_blocks_are_found_by_globs(finished_study):
    recogniser = load_recogniser(last_checkpoint(finished_study, "transformer/seed0"))
    found = recogniser.find(["blocks.*.attention_norm", "blocks.0"])
    assert found[0] == recogniser.layers()[1]
    inside = found[1]
    assert inside.name.startswith("blocks.0.")
    assert (inside.stride, inside.units) == (found[0].stride, found[0].units)
    with pytest.raises(CaptureError, match=r"no layer matches 'encoder\.\*'"):
        recogniser.find(["encoder.*"])


@pytest.mark.parametrize(
    ("name", "content", "error", "said"),
    [
        ("nowhere.safetensors", None, CaptureError, "there is no model"),
        ("not a name", None, CaptureError, "there is no model 'not a name': expected a checkpoint or a graph"),
        ("a.safetensors", b"not safetensors", TrainingError, "cannot be read as a safetensors checkpoint"),
        ("model.py", b"x = 1", CaptureError, r"is a Python file: add the function .* model\.py:recogniser"),
        ("model.pt", b"x", CaptureError, "is no recogniser on its own: weights need the model they belong to"),
        ("model.onnx", b"not a graph", CaptureError, "is no ONNX graph, or a damaged one"),
    ],
)
def test_what_is_no_recogniser_is_refused(name, content, error, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(error, match=said):
        load_recogniser(name)


def test_a_folder_of_something_else_is_refused_with_what_is_in_it(tmp_path):
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(CaptureError, match=r"holds no model that is known \(there is notes\.txt\)"):
        load_recogniser(tmp_path)


def test_a_pickle_in_a_folder_of_transformers_is_never_read(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "wav2vec2", "architectures": ["Wav2Vec2ForCTC"]}')
    proof = tmp_path / "was run"

    class Malicious:
        def __reduce__(self):
            return exec, (f"open({str(proof)!r}, 'w').close()",)

    torch.save({"x": Malicious()}, tmp_path / "pytorch_model.bin")
    with pytest.raises(CaptureError, match="safetensors"):
        load_recogniser(tmp_path)
    assert not proof.exists()


def test_importing_otoscope_brings_no_library_of_others():
    extras = "transformers", "onnx", "onnxruntime", "lightning", "tensorboard"
    code = f"import otoscope, sys; print([name for name in {extras!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
