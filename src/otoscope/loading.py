"""Any recogniser by its name or path."""

from __future__ import annotations

import re
from pathlib import Path

from otoscope.asr import ReferenceRecogniser
from otoscope.capture import Recogniser
from otoscope.errors import CaptureError

__all__ = ["load_recogniser"]

HUB_NAME = re.compile(r"\w[\w.-]*/[\w.-]+(@[\w./-]+)?")
"""`organisation/model`, perhaps with a revision."""

PYTHON_NAME = re.compile(r"(.+\.py|[\w.]+):[A-Za-z_]\w*")
"""`file.py:function` or `package.module:function`."""


def load_recogniser(
    name: str | Path, *, revision: str | None = None, language: str = "en", trust_remote_code: bool = False
) -> Recogniser:
    """A recogniser to be looked into, whatever it was made with.

    | `name` | what it is |
    |---|---|
    | `….safetensors` | a checkpoint of a reference recogniser |
    | a folder with `config.json` | a model of transformers |
    | a folder with `model.bin` of CTranslate2 | a Whisper, as faster-whisper has it |
    | a folder with `encoder_model.ort` | a Moonshine |
    | `….onnx`, `….ort` | a graph for onnxruntime |
    | `file.py:function`, `package.module:function` | your own: what the function returns |
    | `organisation/model`, `organisation/model@revision` | a model of transformers on the Hugging Face hub |

    Arguments:
        name: as in the table; what lies on the disk comes first.
        language: the language code in the prompt of a multilingual model, such as a Whisper.
        revision: a branch, tag or commit on the hub, for a name without one.
        trust_remote_code: whether a model on the hub may bring code of its own, which is then run.

    Raises:
        CaptureError: nothing of the kind there, or it cannot be read. Pickled weights are never read.
        TrainingError: a .safetensors file that is no checkpoint of a reference recogniser.

    >>> load_recogniser("no-such-folder")
    Traceback (most recent call last):
    otoscope.errors.CaptureError: there is no model 'no-such-folder': ...
    """
    # Adapters are imported where they are needed: each brings a library that others do without.
    path = Path(name)
    if revision is not None and (path.exists() or "@" in str(name)):
        why = "lies on the disk, where there are none" if path.exists() else "names one already"
        raise CaptureError(f"revision is {revision!r}, and {str(name)!r} {why}: leave it out")
    if path.is_dir():
        return _folder(path, language=language, trust_remote_code=trust_remote_code)
    if path.is_file():
        return _file(path)
    if isinstance(name, str) and PYTHON_NAME.fullmatch(name):
        from otoscope.adapters.python import load_python

        return load_python(name)
    if isinstance(name, str) and HUB_NAME.fullmatch(name) and not _looks_like_a_path(path):
        from otoscope.adapters.huggingface import load_huggingface

        model, _, pinned = name.partition("@")
        return load_huggingface(
            model, revision=pinned or revision, language=language, trust_remote_code=trust_remote_code
        )
    raise CaptureError(
        f"there is no model {str(name)!r}: expected a checkpoint or a graph (.safetensors, .onnx, .ort), a folder of "
        "transformers, CTranslate2 or Moonshine, file.py:function for a model of your own, or a name on the Hugging "
        "Face hub (organisation/model)"
    )


def _looks_like_a_path(path: Path) -> bool:
    """Whether a name that is not there was meant for the disk: by its ending, or since its folder is there."""
    return path.suffix in (".safetensors", ".onnx", ".ort", ".pt", ".bin", ".py") or path.parent.is_dir()


def _folder(path: Path, *, language: str, trust_remote_code: bool) -> Recogniser:
    if (path / "model.bin").is_file():
        from otoscope.adapters.ctranslate2 import load_ctranslate2

        return load_ctranslate2(path, language=language)
    if (path / "encoder_model.ort").is_file():
        from otoscope.adapters.moonshine import load_moonshine

        return load_moonshine(path)
    if (path / "config.json").is_file():
        from otoscope.adapters.huggingface import load_huggingface

        return load_huggingface(path, language=language, trust_remote_code=trust_remote_code)
    graphs = sorted(path.glob("*.onnx"))
    if len(graphs) == 1:
        return _file(graphs[0])
    inside = ", ".join(sorted(p.name for p in path.iterdir())[:8]) or "nothing"
    raise CaptureError(
        f"the folder {path} holds no model that is known (there is {inside}): expected config.json of transformers, "
        "model.bin of CTranslate2 or encoder_model.ort of Moonshine"
    )


def _file(path: Path) -> Recogniser:
    if path.suffix == ".safetensors":
        return ReferenceRecogniser.load(path)
    if path.suffix in (".onnx", ".ort"):
        from otoscope.adapters.onnx import load_onnx

        return load_onnx(path)
    if path.suffix == ".py":
        raise CaptureError(
            f"{path} is a Python file: add the function that gives the recogniser, such as {path}:recogniser"
        )
    raise CaptureError(
        f"{path} is no recogniser on its own: weights need the model they belong to. Give the folder of a transformers "
        "model, a graph (.onnx, .ort), or file.py:function that builds the model and loads them"
    )
