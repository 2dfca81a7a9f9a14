"""Weights of others: read whole from every format, and never by running what is in a file."""

import argparse
import json
import pickle
import re
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from otoscope import CaptureError
from otoscope.adapters.fitting import fit
from otoscope.adapters.weights import read_weights

WEIGHTS = {"front.weight": torch.arange(6.0).reshape(2, 3), "front.bias": torch.tensor([1.0, -1.0])}


def same(found, expected=WEIGHTS):
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert torch.equal(found[name], tensor)
        assert found[name].dtype == tensor.dtype


@pytest.mark.parametrize(
    "content",
    [
        WEIGHTS,
        {"state_dict": WEIGHTS, "global_step": 7, "loops": {}, "optimizer_states": [{"state": {0: torch.ones(2)}}]},
        {"model": WEIGHTS, "optimizer": {"state": {}}, "epoch": 3},
        {"step": 4, "acoustic": WEIGHTS},
        {"ema": {"x": torch.zeros(1)}, "model_state_dict": WEIGHTS},
    ],
    ids=["plain", "lightning", "model", "one entry", "two entries, one known"],
)
@pytest.mark.parametrize("suffix", [".pt", ".pth", ".bin", ".ckpt"])
@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_state_dicts_of_torch_are_read_wherever_they_lie(content, suffix, zipped, tmp_path):
    torch.save(content, tmp_path / f"x{suffix}", _use_new_zipfile_serialization=zipped)
    same(read_weights(tmp_path / f"x{suffix}"))


def test_safetensors_shards_folders_and_npz_are_read(tmp_path):
    save_file(WEIGHTS, tmp_path / "model.safetensors")
    same(read_weights(tmp_path / "model.safetensors"))
    same(read_weights(tmp_path))
    parts = tmp_path / "parts"
    parts.mkdir()
    names = {name: f"model-0000{i}-of-00002.safetensors" for i, name in enumerate(WEIGHTS)}
    for name, file in names.items():
        save_file({name: WEIGHTS[name]}, parts / file)
    (parts / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": names}))
    same(read_weights(parts))
    np.savez(tmp_path / "x.npz", **{name: tensor.numpy() for name, tensor in WEIGHTS.items()})
    same(read_weights(tmp_path / "x.npz"))
    torch.save(WEIGHTS, parts / "pytorch_model.bin")
    assert read_weights(parts / "pytorch_model.bin").keys() == WEIGHTS.keys()


# Files that would run code


class Evil:
    """Unpickling it writes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.write_text, (Path(self.path), "executed")


def tar(path, content):
    """The format of before torch 0.2."""
    with tarfile.open(path, "w") as archive:
        for name in ("sys_info", "pickle", "tensors", "storages"):
            (path.parent / name).write_bytes(pickle.dumps(content, protocol=2))
            archive.add(path.parent / name, name)


def plain_pickle(path, content):
    path.write_bytes(pickle.dumps(content))


def legacy(path, content):
    torch.save(content, path, _use_new_zipfile_serialization=False)


def modern(path, content):
    torch.save(content, path)


@pytest.mark.parametrize("write", [modern, legacy, plain_pickle, tar])
@pytest.mark.parametrize("suffix", [".pt", ".ckpt", ".bin"])
def test_a_malicious_pickle_is_refused_and_never_executed(write, suffix, tmp_path):
    proof = tmp_path / "proof"
    path = tmp_path / f"x{suffix}"
    write(path, {"state_dict": {"w": torch.zeros(2), "evil": Evil(str(proof))}})
    with pytest.raises(CaptureError, match="unpickling can run any code: it was not read"):
        read_weights(path)
    assert not proof.exists()
    if write is plain_pickle:  # the file would have done it: what was refused is the real thing
        pickle.loads(path.read_bytes())
        assert proof.read_text() == "executed"


def test_objects_in_npz_and_pickles_under_other_names_are_refused(tmp_path):
    proof = tmp_path / "proof"
    np.savez(tmp_path / "x.npz", a=np.array([Evil(str(proof))], dtype=object))
    plain_pickle(tmp_path / "y.npz", Evil(str(proof)))
    plain_pickle(tmp_path / "z.safetensors", Evil(str(proof)))
    for name, kind in (("x.npz", "npz of plain arrays"), ("y.npz", "npz"), ("z.safetensors", "safetensors")):
        with pytest.raises(CaptureError, match=f"{name} cannot be read as .?{kind}"):
            read_weights(tmp_path / name)
    assert not proof.exists()


def test_the_refusal_names_the_class_and_its_conversion_works(tmp_path):
    path = tmp_path / "old.ckpt"
    torch.save({"args": argparse.Namespace(lr=1), "state_dict": {**WEIGHTS, "tied": WEIGHTS["front.bias"]}}, path)
    with pytest.raises(CaptureError, match=r"asks to unpickle argparse\.Namespace") as refused:
        read_weights(path)
    lines = [line.strip() for line in str(refused.value).splitlines()[1:]]
    assert len(lines) == 3
    exec("\n".join(lines), {})  # as a user would who trusts the file, as this test can
    same(read_weights(tmp_path / "old.safetensors"), {**WEIGHTS, "tied": WEIGHTS["front.bias"]})


def test_a_whole_module_is_refused_by_its_class(tmp_path):
    torch.save(nn.Linear(2, 2), tmp_path / "x.pt")
    with pytest.raises(CaptureError, match=r"unpickle torch\.nn\.modules\.linear\.Linear"):
        read_weights(tmp_path / "x.pt")


# Files that are damaged, or something else


def cut(content, keep):
    return content[: int(len(content) * keep)] if keep < 1 else content[: -int(keep)]


@pytest.mark.parametrize("keep", [0.001, 0.3, 0.8, 8])
@pytest.mark.parametrize("name", ["x.safetensors", "modern.pt", "legacy.pt", "x.npz"])
def test_a_file_that_was_cut_off_is_one_clear_error(name, keep, tmp_path):
    path = tmp_path / name
    weights = {"w": torch.arange(4000.0), "v": torch.ones(30)}
    if name == "x.safetensors":
        save_file(weights, path)
    elif name == "x.npz":
        np.savez(path, **{k: v.numpy() for k, v in weights.items()})
    else:
        torch.save(weights, path, _use_new_zipfile_serialization=name == "modern.pt")
    path.write_bytes(cut(path.read_bytes(), keep))
    with pytest.raises(CaptureError, match=r"cannot be read as .*: it was cut off, or is something else") as error:
        read_weights(path)
    assert len(str(error.value)) < 500 + len(str(path))


def test_every_other_file_is_one_clear_error(tmp_path):
    for name in ("x.safetensors", "x.pt", "x.npz"):
        (tmp_path / name).touch()
        with pytest.raises(CaptureError, match=f"{name} is empty"):
            read_weights(tmp_path / name)
    with zipfile.ZipFile(tmp_path / "other.pt", "w") as archive:
        archive.writestr("a/readme.txt", "hello")
    with pytest.raises(CaptureError, match=r"zip archive that torch\.save did not write"):
        read_weights(tmp_path / "other.pt")
    (tmp_path / "text.pt").write_text("hello there")
    with pytest.raises(CaptureError, match=r"text\.pt cannot be read as a file of torch\.save"):
        read_weights(tmp_path / "text.pt")
    with pytest.raises(CaptureError, match="there is no such file"):
        read_weights(tmp_path / "nowhere.pt")
    (tmp_path / "x.h5").write_text("x")
    with pytest.raises(CaptureError, match=r"ends in \.safetensors, \.pt"):
        read_weights(tmp_path / "x.h5")
    (tmp_path / "empty").mkdir()
    with pytest.raises(CaptureError, match=r"none of model\.safetensors"):
        read_weights(tmp_path / "empty")


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_torchscript_is_sent_to_where_it_is_read(tmp_path):
    torch.jit.script(nn.Linear(2, 2)).save(str(tmp_path / "x.pt"))
    with pytest.raises(CaptureError, match=r"TorchScript archive.*load_torchscript"):
        read_weights(tmp_path / "x.pt")


def test_a_file_without_weights_says_what_it_holds(tmp_path):
    path = tmp_path / "x.pt"
    torch.save({"state": {0: {"exp_avg": torch.zeros(2)}}, "param_groups": []}, path)
    with pytest.raises(CaptureError, match=r"holds no weights \(state, param_groups\)"):
        read_weights(path)
    torch.save({"encoder": WEIGHTS, "decoder": WEIGHTS}, path)
    with pytest.raises(CaptureError, match=r"holds several sets of weights \(encoder, decoder\)"):
        read_weights(path)
    torch.save([torch.zeros(2)], path)
    with pytest.raises(CaptureError, match=r"holds no weights \(list\)"):
        read_weights(path)


def test_an_index_that_is_wrong_is_refused(tmp_path):
    index = tmp_path / "model.safetensors.index.json"
    save_file(WEIGHTS, tmp_path / "a.safetensors")
    for content, told in (
        ("{", "cannot be read as the index"),
        ("[]", "cannot be read as the index"),
        (json.dumps({"weight_map": {"w": 3}}), "cannot be read as the index"),
        (json.dumps({"weight_map": {"w": "../secret.safetensors"}}), "files of an index lie beside it"),
        (json.dumps({"weight_map": {"w": "b.safetensors"}}), r"b\.safetensors: there is no such file"),
        (json.dumps({"weight_map": {"w": "a.safetensors"}}), "promises 1 weights, and its files lack 1 of them.* w:"),
    ):
        index.write_text(content)
        with pytest.raises(CaptureError, match=told):
            read_weights(index)


# Into a module


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.front, self.back = nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False)
        self.back.weight = self.front.weight


@pytest.mark.parametrize("wrap", ["", "model.", "module.", "module.model.", "_orig_mod.", "module._orig_mod."])
def test_prefixes_are_taken_off_where_that_makes_all_names_fit(wrap):
    source, target = (nn.Sequential(nn.Linear(3, 4), nn.GRU(4, 2)) for _ in range(2))
    note = fit(target, {wrap + name: tensor for name, tensor in source.state_dict().items()}, "x.pt")
    same(target.state_dict(), source.state_dict())
    assert bool(note) == bool(wrap)
    assert all(part in note for part in wrap.split(".") if part)


def test_a_prefix_inside_the_base_is_put_before_the_names():
    source = nn.Linear(3, 4)
    target = nn.ModuleDict({"model": nn.Linear(3, 4)})
    assert "'model.' was put before" in fit(target, source.state_dict(), "x.pt")
    same(target["model"].state_dict(), source.state_dict())


def test_compiled_parts_and_tied_weights_fit():
    target = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    source = {name: torch.randn_like(tensor) for name, tensor in target.state_dict().items()}
    fit(target, {name.replace("2.", "2._orig_mod."): tensor for name, tensor in source.items()}, "x.pt")
    same(target.state_dict(), source)
    tied, weight = Tied(), torch.randn(3, 3)
    fit(tied, {"back.weight": weight}, "x.pt")  # safetensors holds what is used twice once
    assert torch.equal(tied.front.weight, weight)
    assert tied.front.weight is tied.back.weight


def test_older_names_that_torch_knows_of_fit():
    target = nn.utils.parametrizations.weight_norm(nn.Conv1d(2, 2, 3))
    source = target.state_dict()
    older = {k.replace("parametrizations.weight.original", "weight_"): v + 1 for k, v in source.items()}
    fit(target, {k.replace("_0", "_g").replace("_1", "_v"): v for k, v in older.items()}, "x.pt")
    assert torch.equal(target.parametrizations.weight.original1, source["parametrizations.weight.original1"])


def test_what_does_not_fit_is_counted_and_named():
    target = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    before = target.state_dict()
    weights = {f"model.{name}": tensor for name, tensor in before.items()}
    told = r"1 missing \(such as 1\.bias\), 2 left over \(such as .*loss\.weight.*\), of 4 that it has"
    with pytest.raises(CaptureError, match=told):
        fit(
            target,
            {k: v for k, v in before.items() if k != "1.bias"} | {"loss.weight": torch.ones(1), "a": before["0.bias"]},
            "x.pt",
        )
    with pytest.raises(CaptureError, match=re.escape("1 of the 4 weights in x.pt are of another shape")):
        fit(target, {**weights, "model.0.weight": torch.ones(4, 5)}, "x.pt")
    with pytest.raises(CaptureError, match=r"0\.weight is \(4, 5\), the model has \(4, 3\)"):
        fit(target, {**weights, "model.0.weight": torch.ones(4, 5)}, "x.pt")
    with pytest.raises(CaptureError, match="4 missing"):
        fit(target, {}, "x.pt")
