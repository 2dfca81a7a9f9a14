"""Recognisers from a user's own file: what works, and what is said where it does not."""

import re
import sys
from pathlib import Path
from textwrap import dedent

import numpy as np
import pytest
import torch

from otoscope import CaptureError, Speech, TorchRecogniser, load
from otoscope.adapters.plain import PlainRecogniser
from otoscope.adapters.python import load_python
from otoscope.corpora import read_audio

EXAMPLES = Path(__file__).parents[2] / "examples"

WORKING = """
    import torch
    from dataclasses import dataclass
    from otoscope.adapters.plain import PlainRecogniser
    from my_parts import units

    @dataclass
    class Settings:
        units: int = 6

    def recogniser():
        from my_late_parts import bins
        return PlainRecogniser(
            torch.nn.Sequential(torch.nn.Linear(bins, units)),
            features=lambda x: torch.ones(len(x) // 160, bins),
            frame_shift=0.01,
        )

    ready = recogniser()
    number = 3
"""


def written(folder, text, name="my_model.py"):
    path = folder / name
    path.write_text(dedent(text), encoding="utf-8")
    return path


@pytest.fixture
def working(tmp_path):
    written(tmp_path, "units = 6\n", "my_parts.py")
    written(tmp_path, "bins = 4\n", "my_late_parts.py")
    return written(tmp_path, WORKING)


def test_a_function_of_a_file_that_imports_from_beside_it(working):
    before = list(sys.path)
    own = load_python(f"{working}:recogniser")
    assert isinstance(own, PlainRecogniser)
    assert [(layer.name, layer.units) for layer in own.layers()] == [("0", 6)]
    assert sys.path == before


def test_a_recogniser_that_is_there_already(working):
    assert isinstance(load_python(f"{working}:ready"), PlainRecogniser)


def test_a_function_of_a_module(working, monkeypatch):
    monkeypatch.chdir(working.parent)
    try:
        assert isinstance(load_python("my_model:recogniser"), PlainRecogniser)
    finally:
        for name in ("my_model", "my_parts", "my_late_parts"):
            sys.modules.pop(name, None)


def test_two_files_of_one_name_with_parts_of_one_name_are_two(working, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    second = written(other, WORKING)
    written(other, "units = 9\n", "my_parts.py")
    written(other, "bins = 5\n", "my_late_parts.py")
    made = [load_python(f"{path}:recogniser") for path in (working, second)]
    assert [own.layers()[0].units for own in made] == [6, 9]
    assert [own.module[0].in_features for own in made] == [4, 5]
    assert not {"my_parts", "my_late_parts"} & set(sys.modules)


def test_the_example_of_an_own_model(corpora_root):
    own = load_python(f"{EXAMPLES / 'own_model.py'}:recogniser")
    assert isinstance(own, TorchRecogniser)
    some = load(corpora_root / "an4").utterances[:4]
    speech = [Speech(read_audio(u), u.text) for u in some]
    batch = own.prepare(speech)
    with torch.inference_mode():
        names = [layer.name for layer in own.layers()]
        together = own.outputs(batch, names)
        for i, one in enumerate(speech):
            alone = own.prepare([one])
            outputs = own.outputs(alone, names)
            for layer in own.layers():
                (n,) = layer.frames(alone.lengths.tolist(), own.frame_shift)
                found = together[layer.name][i].movedim(layer.time_axis - 1, 0)[:n]
                expected = outputs[layer.name][0].movedim(layer.time_axis - 1, 0)[:n]
                np.testing.assert_allclose(found.numpy(), expected.numpy(), atol=1e-5)


@pytest.mark.parametrize(
    ("text", "asked", "told"),
    [
        ("import torch", "recogniser", r"my_model\.py has no recogniser: it has no names of its own"),
        ("def make(): pass\nclass Net: pass", "recogniser", r"my_model\.py has no recogniser: it has make, Net"),
        ("recogniser = 3", "recogniser", r":recogniser is of type int, expected a function or a Recogniser"),
        ("def recogniser(", "recogniser", r"raised SyntaxError:\n(.*\n)+.*'\(' was never closed"),
        (
            "def inner():\n    return {}['key']\ndef recogniser():\n    return inner()",
            "recogniser",
            r"raised KeyError:\n  File \".*my_model\.py\", line 4, in recogniser\n    return inner\(\)\n"
            r"(.*\n)?  File \".*my_model\.py\", line 2, in inner\n(.*\n)+KeyError: 'key'$",
        ),
        ("import no_such_package", "recogniser", r"raised ModuleNotFoundError:\n(.*\n)+.*No module named 'no_such"),
        (
            "import torch\ndef recogniser(): return torch.nn.Linear(2, 2)",
            "recogniser",
            r"made a Linear, a torch module and no Recogniser: return PlainRecogniser\(module",
        ),
        (
            "class Own:\n    frame_shift = 0.01\n    def layers(self): return []\ndef recogniser(): return Own()",
            "recogniser",
            r"made a Own, which is no Recogniser: it has no prepare \(prepare\(speech\) -> Batch\); no outputs \(",
        ),
        (
            "from otoscope import TorchRecogniser\nclass Own(TorchRecogniser): pass\ndef recogniser(): return Own()",
            "recogniser",
            r"no frame_shift .*; no layers .*; no prepare .*; no forward .*; no module ",
        ),
        ("def recogniser(needed): pass", "recogniser", r"raised TypeError:\n.*missing 1 required positional"),
    ],
)
def test_what_is_wrong_in_a_file_is_said(text, asked, told, tmp_path):
    path = written(tmp_path, text)
    with pytest.raises(CaptureError, match=re.compile(told)):
        load_python(f"{path}:{asked}")


def test_names_that_are_none(tmp_path):
    with pytest.raises(CaptureError, match=r"expected file\.py:function or package\.module:function, got 'my_model'"):
        load_python("my_model")
    with pytest.raises(CaptureError, match=r"there is no file .*none\.py to take recogniser from"):
        load_python(f"{tmp_path / 'none.py'}:recogniser")
    with pytest.raises(CaptureError, match=r"no_such_package:recogniser raised ModuleNotFoundError"):
        load_python("no_such_package:recogniser")


def test_our_own_errors_are_passed_on(tmp_path):
    path = written(
        tmp_path,
        """
        import torch
        from otoscope.adapters.plain import PlainRecogniser

        def recogniser():
            return PlainRecogniser(torch.nn.Sequential(torch.nn.Linear(2, 2)), layers=["encoder.*"])
        """,
    )
    with pytest.raises(CaptureError, match=r"^no layer matches 'encoder\.\*'"):
        load_python(f"{path}:recogniser")
