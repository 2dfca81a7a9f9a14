"""TorchScript archives as modules whose hooks fire."""

from __future__ import annotations

import io
import re
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn

from otoscope.adapters.script_taps import ScriptCall, instrument, recorded
from otoscope.errors import CaptureError

__all__ = ["TorchScriptModule", "load_torchscript"]

FILE_OPERATORS = re.compile(r"\b(save|from_file)\b")
"""What a TorchScript program reads and writes files with."""


def load_torchscript(archive: str | Path | torch.jit.ScriptModule) -> TorchScriptModule:
    """A TorchScript archive as a module whose submodules can be hooked, on the processor.

    It goes into `PlainRecogniser` like any module: `PlainRecogniser(load_torchscript("model.pt"), features=…)`. Every
    submodule of a scripted or traced archive can be captured, except those of a frozen archive, which has none.

    An archive holds no Python and no pickled objects of any class, yet it is a program that runs when it is called:
    open only what you would run. One that reads or writes files is refused.

    Arguments:
        archive: a file made with `torch.jit.save`, or a scripted or traced module, which is copied.

    Raises:
        CaptureError: no such file, another kind of file, one with several files of one name, a program that reads or
            writes files, a frozen archive.

    >>> with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
    ...     scripted = torch.jit.script(nn.Sequential(nn.Linear(3, 4), nn.ReLU()))
    >>> module = load_torchscript(scripted)
    >>> [(name, type(part).__name__) for name, part in module.named_children()]
    [('0', 'Linear'), ('1', 'ReLU')]
    """
    if isinstance(archive, torch.jit.ScriptModule):
        data, what = archive.save_to_buffer(), f"the module {archive.original_name}"
    else:
        path, what = Path(archive), str(archive)
        if not path.is_file():
            raise CaptureError(f"there is no file {what}")
        data = path.read_bytes()
    _check(data, what)
    try:
        # Read anew even where it is in memory: its graphs are changed, and before anything has run.
        with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
            script = torch.jit.load(io.BytesIO(data), map_location="cpu")  # type: ignore[no-untyped-call]
    except RuntimeError as error:
        raise CaptureError(f"{what} cannot be read as TorchScript: {str(error).splitlines()[0]}") from error
    if next(script.children(), None) is None:
        raise CaptureError(
            f"{what} has no submodules: freezing an archive writes them into one graph, and which part of it was "
            "which layer is lost. Save it without torch.jit.freeze and torch.jit.optimize_for_inference"
        )
    instrument(script)
    return TorchScriptModule(script)


class TorchScriptModule(nn.Module):
    """A TorchScript program behind a tree of modules with the same names, classes and parameters.

    The tree computes nothing. When the program has run, what each submodule put out goes through the hooks of its
    namesake. Made by `load_torchscript`.
    """

    def __init__(self, script: torch.jit.ScriptModule) -> None:
        """Takes a program that was instrumented."""
        super().__init__()
        self._script = (script,)  # in a tuple: it is not a submodule itself
        for name, part in script.named_modules():
            if name:
                above, _, own = name.rpartition(".")
                kind = type(str(part.original_name), (_Namesake,), {})
                self.get_submodule(above).add_module(own, kind())
        self._places = {name: part for name, part in self.named_modules() if name}
        self._share()

    @property
    def original_name(self) -> str:
        """The class that was scripted or traced."""
        return str(self._script[0].original_name)

    def forward(self, *inputs: Any, **named: Any) -> Any:
        """Runs the program, then the hooks of what it called, in the order and nesting of the calls."""
        hooked = {name for name, part in self.named_modules() if name and part._forward_hooks}
        with recorded(hooked.__contains__) as top:
            result = self._script[0](*inputs, **named)
        if hooked:
            self._replay(top)
        return result

    def _replay(self, around: ScriptCall) -> None:
        for call in around.inner:
            if call.forward and call.name in self._places:
                self._places[call.name](call, self._replay)
            else:
                self._replay(call)

    def train(self, mode: bool = True) -> Self:
        """Training or evaluation mode, of the program too."""
        self._script[0].train(mode)
        return super().train(mode)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        self._script[0]._apply(fn)  # type: ignore[no-untyped-call]
        self._share()
        return self

    def _share(self) -> None:
        """Gives the tree the program's own parameters and buffers."""
        for name, part in self._script[0].named_modules():
            own = self.get_submodule(name)
            for key, value in part.named_parameters(recurse=False):
                own.register_parameter(key, nn.Parameter(value.detach(), requires_grad=False))
            for key, value in part.named_buffers(recurse=False):
                own.register_buffer(key, value)


class TensorsInTracedOrder:
    """Stands for several tensors of a traced submodule: which of them is its output cannot be told."""


class _Namesake(nn.Module):
    """A submodule's place in the tree: being called is what makes its hooks see the program's output."""

    def forward(self, call: ScriptCall, replay: Callable[[ScriptCall], None]) -> Any:
        replay(call)
        if not call.ordered:
            return TensorsInTracedOrder()
        return tuple(call.output) if len(call.output) > 1 else next(iter(call.output), None)


def _check(data: bytes, what: str) -> None:
    """Refuses what is no TorchScript archive, and programs that name an operator on files."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = archive.namelist()
            # Torch takes the first file of a name, in whatever case, and Python the last: another might be checked.
            repeated = [name for name, times in Counter(name.lower() for name in names).items() if times > 1]
            if repeated:
                raise CaptureError(
                    f"{what} is refused: it has several files {repeated[0]}, and which of them torch would run cannot "
                    "be told. torch.jit.save writes each once"
                )
            programs = [name for name in names if "/code/" in name.lower() and name.lower().endswith(".py")]
            code = {name: archive.read(name).decode() for name in programs}
    except (zipfile.BadZipFile, UnicodeDecodeError) as error:
        raise CaptureError(f"{what} is not a TorchScript archive: {error}") from error
    if not any(name.endswith("/constants.pkl") for name in names):
        raise CaptureError(
            f"{what} is not a TorchScript archive but another file of torch.save, such as a state dict: load it with "
            "torch.load(…, weights_only=True) into the model it belongs to, and give that to PlainRecogniser"
        )
    for name, text in code.items():
        operator = FILE_OPERATORS.search(text)
        if operator:
            raise CaptureError(
                f"{what} is refused: its program names {operator[0]} in {name}, an operator that reads or writes files"
            )
