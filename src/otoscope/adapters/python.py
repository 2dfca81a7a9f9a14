"""Recognisers of the user's own, from a function in a Python file or package."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn

from otoscope.capture import Recogniser, TorchRecogniser
from otoscope.errors import CaptureError

__all__ = ["check_recogniser", "load_python"]

WANTED = {
    "frame_shift": "seconds from one input frame to the next",
    "prepare": "prepare(speech) -> Batch",
    "layers": "layers() -> Sequence[Layer]",
    "outputs": "outputs(batch, layers) -> Mapping[str, Tensor]",
}
"""The protocol `otoscope.Recogniser`, and each part of it in a line."""

OWN = "otoscope_own_"
"""What the names of modules that were made of files begin with."""

SHOWN_LINES = 4
"""So many calls of a user's traceback are shown, from the last."""


def load_python(where: str) -> Recogniser:
    """The recogniser that a function of the user's makes: `my_model.py:recogniser` or `package.module:function`.

    The file is run, and then the function; modules beside the file can be imported meanwhile. The function takes no
    arguments; what is named may also be a recogniser that is there already.
    [How to write one](../../../docs/adapters/own-models.md).

    Arguments:
        where: a file or a module, a colon, and the name in it.

    Raises:
        CaptureError: no such file, module or name; an error in the user's code, whose traceback's last lines it shows;
            what came back is no recogniser, and what it lacks.

    >>> load_python("my_model.py")
    Traceback (most recent call last):
        ...
    otoscope.errors.CaptureError: expected file.py:function or package.module:function, got 'my_model.py'
    """
    place, _, name = where.rpartition(":")
    if not place or not name.isidentifier():
        raise CaptureError(f"expected file.py:function or package.module:function, got {where!r}")
    path = Path(place)
    in_file = path.suffix == ".py"
    if in_file and not path.is_file():
        raise CaptureError(f"there is no file {place} to take {name} from")
    with _found_beside(path.parent) if in_file else _found_beside(Path(), forget=False):
        with _telling(where):
            module = _run(path) if in_file else importlib.import_module(place)
        if not hasattr(module, name):
            raise CaptureError(f"{place} has no {name}: it has {_public(module)}")
        made = getattr(module, name)
        if not isinstance(made, Recogniser) or isinstance(made, type):
            if not callable(made):
                raise CaptureError(f"{where} is of type {type(made).__name__}, expected a function or a Recogniser")
            with _telling(where):
                made = made()
    return check_recogniser(made, where)


def check_recogniser(made: Any, where: str) -> Recogniser:
    """What a user's function made, if it is a recogniser. Raises CaptureError naming what it lacks."""
    kind = type(made).__name__
    if isinstance(made, nn.Module) and not isinstance(made, Recogniser):
        raise CaptureError(
            f"{where} made a {kind}, a torch module and no Recogniser: return PlainRecogniser(module, features=…, "
            "frame_shift=…)"
        )
    missing = [f"{name} ({told})" for name, told in WANTED.items() if not hasattr(made, name)]
    if isinstance(made, TorchRecogniser):
        own = type(made)
        if own.layers is TorchRecogniser.layers:
            missing.append(f"layers ({WANTED['layers']})")
        if own.prepare is TorchRecogniser.prepare:
            missing.append(f"prepare ({WANTED['prepare']})")
        if own.forward is TorchRecogniser.forward and own.run is TorchRecogniser.run:
            missing.append("forward (forward(inputs, lengths))")
        if not isinstance(getattr(made, "module", None), nn.Module):
            missing.append("module (the torch.nn.Module whose layers are looked at)")
    if missing:
        raise CaptureError(f"{where} made a {kind}, which is no Recogniser: it has no {'; no '.join(missing)}")
    assert isinstance(made, Recogniser)
    return made


def _run(path: Path) -> ModuleType:
    # A name of its own: two files of one name may be compared, and neither may take a library's place.
    name = f"{OWN}{path.stem}_{abs(hash(path.resolve()))}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and others look their module up there
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


@contextmanager
def _found_beside(folder: Path, *, forget: bool = True) -> Iterator[None]:
    """Modules in this folder can be imported in the block.

    With `forget` they live on in what imported them, but another file gets its own: `parts.py` of one model is not that
    of the next.
    """
    entry, before = str(folder.resolve()), set(sys.modules)
    sys.path.insert(0, entry)
    try:
        yield
    finally:
        if entry in sys.path:
            sys.path.remove(entry)
        for name in [name for name in sys.modules if forget and name not in before]:
            origin, first = getattr(sys.modules[name], "__file__", None), name.partition(".")[0]
            # By its place: an environment in the folder holds libraries, and those stay.
            beside = (Path(entry, f"{first}.py"), Path(entry, first))
            if origin and any(Path(origin).is_relative_to(place) for place in beside):
                del sys.modules[name]


@contextmanager
def _telling(where: str) -> Iterator[None]:
    """An error of the user's code as one of ours, with the end of its traceback."""
    try:
        yield
    except CaptureError:
        raise
    except Exception as error:
        # Frames of ours and of Python's imports come first, and say nothing of the user's code.
        frames = traceback.extract_tb(error.__traceback__)
        own = [f for f in frames if f.filename != __file__ and "importlib" not in f.filename][-SHOWN_LINES:]
        shown = "".join(traceback.format_list(own)) + "".join(traceback.format_exception_only(error))
        raise CaptureError(f"{where} raised {type(error).__name__}:\n{shown.rstrip()}") from error


def _public(module: ModuleType) -> str:
    """The functions and objects that a user's file defines itself, to choose from."""
    names = [
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and not inspect.ismodule(value)
        and getattr(value, "__module__", module.__name__) == module.__name__
    ]
    return ", ".join(names) or "no names of its own"
