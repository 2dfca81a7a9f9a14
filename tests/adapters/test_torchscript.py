"""Hooks fire on the submodules of TorchScript archives, and see what those of the model in Python see."""

import threading
import zipfile

import numpy as np
import pytest
import torch
import transformers
from torch import nn

from otoscope import CaptureError, Speech, capture
from otoscope.adapters.plain import PlainRecogniser
from otoscope.adapters.torchscript import load_torchscript
from otoscope.asr import log_mel

# `torch.jit.script` and `torch.jit.trace` are on their way out, archives of theirs are still there.
pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::torch.jit.TracerWarning"
)


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(16, 16)
        self.norm = nn.LayerNorm(16)

    def forward(self, x):
        x = x + self.norm(torch.relu(self.linear(x)))
        return x.mul_(0.5)


class Model(nn.Module):
    """Blocks of one class, a GRU and an LSTM, a condition, a loop, a method beside forward, in-place products."""

    def __init__(self):
        super().__init__()
        self.front = nn.Linear(80, 16)
        self.blocks = nn.ModuleList([Block(), Block()])
        self.gru = nn.GRU(16, 8, batch_first=True, bidirectional=True)
        self.lstm = nn.LSTM(16, 16, batch_first=True)
        self.long = nn.Linear(16, 16)
        self.shared = nn.Linear(16, 16)
        self.unused = nn.Linear(2, 2)

    def middle(self, x: torch.Tensor) -> torch.Tensor:
        return self.lstm(self.gru(x)[0])[0]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.front(x)
        for block in self.blocks:
            x = block(x)
        x = self.middle(x)
        if x.shape[1] > 60:
            x = self.long(x)
        for _ in range(2):
            x = self.shared(x)
        return x.mul_(2.0)


ONCE = ["front", "blocks.*", "blocks.*.*", "gru", "lstm", "long"]


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return Model().eval()


def archive(model, how, folder):
    made = torch.jit.script(model) if how == "scripted" else torch.jit.trace(model, torch.randn(2, 70, 80))
    made.save(str(folder / "model.pt"))
    return folder / "model.pt"


def seen(module, names, *inputs):
    with torch.inference_mode(), capture(module, names) as captured:
        result = module(*inputs)
        return captured.take(), result


@pytest.mark.parametrize("how", ["scripted", "traced"])
def test_hooks_see_what_those_of_the_python_model_see(model, how, tmp_path):
    script = load_torchscript(archive(model, how, tmp_path))
    names = [name for name, _ in model.named_modules()]
    assert [name for name, _ in script.named_modules()] == names
    x = torch.randn(3, 90, 80)
    expected, result = seen(model, ONCE, x)
    for _ in range(4):  # the interpreter optimises a graph after its first runs
        found, again = seen(script, ONCE, x)
        assert list(found) == list(expected)
        for name in expected:
            torch.testing.assert_close(found[name], expected[name], rtol=0, atol=1e-6, msg=name)
        torch.testing.assert_close(again, result, rtol=0, atol=1e-6)


def test_what_does_not_fire_once_is_an_error(model, tmp_path):
    script = load_torchscript(archive(model, "scripted", tmp_path))
    for names, told in ((["unused"], "did not call unused"), (["shared"], r"called shared \(2 times\)")):
        with pytest.raises(CaptureError, match=told):
            seen(script, names, torch.randn(1, 70, 80))
    with pytest.raises(CaptureError, match="did not call long"):
        seen(script, ["long"], torch.randn(1, 50, 80))


def test_a_module_in_memory_is_copied(model):
    scripted = torch.jit.script(model)
    x = torch.randn(2, 70, 80)
    with torch.inference_mode():
        before = scripted(x)
    found, result = seen(load_torchscript(scripted), ["gru"], x)
    assert torch.equal(result, before)
    assert found["gru"].shape == (2, 70, 16)
    with torch.inference_mode():
        assert torch.equal(scripted(x), before)
    assert "otoscope" not in str(scripted.graph)


def test_classes_and_parameters_are_the_programs(model, tmp_path):
    script = load_torchscript(archive(model, "scripted", tmp_path))
    assert type(script.get_submodule("blocks.0")).__name__ == "Block"
    assert {n: p.shape for n, p in script.named_parameters()} == {n: p.shape for n, p in model.named_parameters()}
    torch.testing.assert_close(script.get_submodule("front").weight, model.front.weight.detach())
    doubled = script.double()
    assert doubled(torch.randn(1, 70, 80, dtype=torch.float64)).dtype == torch.float64


class Several(nn.Module):
    """Weights and states, both used outside: a trace puts them in an order of its own."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(8, 8)

    def forward(self, x):
        y = self.linear(x)
        return x + y, y.mean(1)


class Pair(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = Several(), Several()

    def forward(self, x):
        x, a = self.first(x)
        x, b = self.second(x)
        return x + (a + b)[:, None]


def test_several_tensors_of_a_scripted_layer_keep_their_order_and_of_a_traced_one_do_not(tmp_path):
    torch.manual_seed(0)
    model, x = Pair().eval(), torch.randn(2, 5, 8)
    expected, _ = seen(model, ["first", "second"], x)
    torch.jit.script(model).save(str(tmp_path / "scripted.pt"))
    found, _ = seen(load_torchscript(tmp_path / "scripted.pt"), ["first", "second"], x)
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    torch.jit.trace(model, x).save(str(tmp_path / "traced.pt"))
    traced = load_torchscript(tmp_path / "traced.pt")
    with pytest.raises(CaptureError, match="layer first put out TensorsInTracedOrder"):
        seen(traced, ["first"], x)
    assert seen(traced, ["first.linear"], x)[0]["first.linear"].shape == (2, 5, 8)


def test_a_speech_model_of_transformers_that_was_traced():
    config = transformers.Wav2Vec2Config(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        conv_dim=(16, 16),
        conv_kernel=(10, 3),
        conv_stride=(5, 2),
        num_feat_extract_layers=2,
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=2,
        return_dict=False,
    )
    torch.manual_seed(0)
    model = transformers.Wav2Vec2Model(config).eval()
    with torch.inference_mode():
        script = load_torchscript(torch.jit.trace(model, torch.randn(1, 4000), strict=False, check_trace=False))
    names = ["encoder.layers.*", "encoder.layers.*.attention", "encoder.layers.*.feed_forward", "feature_extractor"]
    audio = torch.randn(1, 7000)
    expected, _ = seen(model, names, audio)
    found, _ = seen(script, names, audio)
    assert len(expected) == 7
    for name in expected:
        torch.testing.assert_close(found[name], expected[name], rtol=0, atol=1e-5, msg=name)


def test_as_a_recogniser(model, tmp_path, spoken):
    speech = [Speech(audio) for audio in spoken[0][:3]]
    script = load_torchscript(archive(model, "scripted", tmp_path))
    of = {
        key: PlainRecogniser(module, features=log_mel, frame_shift=0.01, layers=["front", "blocks.*", "lstm"])
        for key, module in (("script", script), ("python", model))
    }
    assert of["script"].layers() == of["python"].layers()
    batch = of["script"].prepare(speech)
    with torch.inference_mode():
        found, expected = (of[key].outputs(batch, ["blocks.1", "lstm"]) for key in ("script", "python"))
    for name in expected:
        np.testing.assert_allclose(found[name].numpy(), expected[name].numpy(), atol=1e-6)


def test_two_threads_do_not_hear_each_other(model, tmp_path):
    scripts = [load_torchscript(archive(model, "scripted", tmp_path)) for _ in range(2)]
    inputs = [torch.randn(1, 70, 80), torch.randn(2, 80, 80)]
    shapes: list[set] = [set(), set()]

    def work(i):
        for _ in range(20):
            found, _ = seen(scripts[i], ["blocks.*", "gru"], inputs[i])
            shapes[i].update((name, tuple(x.shape)) for name, x in found.items())

    threads = [threading.Thread(target=work, args=(i,)) for i in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for own, x in zip(shapes, inputs, strict=True):
        assert own == {(name, (*x.shape[:2], 16)) for name in ("blocks.0", "blocks.1", "gru")}


class Writing(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        torch.save(x, "written-by-a-model.bin")
        return x


def test_what_cannot_be_opened_is_said(model, tmp_path):
    scripted = torch.jit.script(model)
    frozen, weights, junk, writing = (tmp_path / f"{n}.pt" for n in ("frozen", "weights", "junk", "writing"))
    torch.jit.freeze(scripted).save(str(frozen))
    torch.save(model.state_dict(), weights)
    junk.write_bytes(b"hello" * 100)
    torch.jit.script(Writing()).save(str(writing))
    cut = tmp_path / "cut.pt"
    whole = archive(model, "scripted", tmp_path)
    with zipfile.ZipFile(whole) as source, zipfile.ZipFile(cut, "w") as target:
        for name in source.namelist():
            if not name.endswith("data.pkl"):
                target.writestr(name, source.read(name))
    for path, told in (
        (frozen, r"frozen\.pt has no submodules: freezing an archive"),
        (weights, r"weights\.pt is not a TorchScript archive but another file of torch\.save"),
        (junk, r"junk\.pt is not a TorchScript archive: File is not a zip file"),
        (writing, r"writing\.pt is refused: its program names save in "),
        (cut, r"cut\.pt cannot be read as TorchScript: "),
        (tmp_path / "none.pt", r"there is no file .*none\.pt"),
    ):
        with pytest.raises(CaptureError, match=told):
            load_torchscript(path)


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
@pytest.mark.parametrize("renamed", [str, str.upper], ids=["same name", "in capitals"])
def test_a_program_cannot_hide_behind_another_of_its_name(renamed, tmp_path):
    """Torch runs the first of two files of one name, whatever their case; Python's reader would show the last."""
    torch.jit.script(Writing()).save(str(tmp_path / "writing.pt"))
    hiding = tmp_path / "hiding.pt"
    with zipfile.ZipFile(tmp_path / "writing.pt") as source, zipfile.ZipFile(hiding, "w") as target:
        for name in source.namelist():
            shown = name.replace("writing/", "hiding/")
            content = source.read(name)
            if b"torch.save" in content or b".save(" in content:
                target.writestr(shown.replace("code/", renamed("code/")), content)
                content = b"# nothing of the kind\n"
            target.writestr(shown, content)
    with pytest.raises(
        CaptureError, match=r"hiding\.pt is refused: it has several files hiding/code/__torch__.* which of"
    ):
        load_torchscript(hiding)


def test_a_program_in_a_folder_in_capitals_is_read_too(tmp_path):
    torch.jit.script(Writing()).save(str(tmp_path / "writing.pt"))
    shouting = tmp_path / "shouting.pt"
    with zipfile.ZipFile(tmp_path / "writing.pt") as source, zipfile.ZipFile(shouting, "w") as target:
        for name in source.namelist():
            target.writestr(name.replace("/code/", "/CODE/"), source.read(name))
    torch.jit.load(shouting)  # finds it
    with pytest.raises(CaptureError, match=r"shouting\.pt is refused: its program names save in "):
        load_torchscript(shouting)
