"""Stand-ins for modules that peers import and their measures do not use."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import torch


class _Unused(torch.nn.Module):
    """For `isinstance(model, _FabricModule)` in cka-pytorch, and nothing else."""


class _Annotation:
    def __class_getitem__(cls, item: object) -> type[_Annotation]:
        return cls


def stand_in(name: str, **attributes: Any) -> ModuleType:
    """An empty module of this name (and its parents), where none is installed."""
    if name in sys.modules:
        return sys.modules[name]
    module = ModuleType(name)
    module.__path__ = []
    module.__dict__.update(attributes)
    sys.modules[name] = module
    parent, _, child = name.rpartition(".")
    if parent:
        setattr(stand_in(parent), child, module)
    return module


def cka_pytorch() -> ModuleType:
    """cka-pytorch 1.1.3, without lightning, of which it uses one class for a type check."""
    stand_in("lightning.fabric.wrappers", _FabricModule=_Unused)
    return importlib.import_module("cka_pytorch")


def anatome() -> ModuleType:
    """ultimate-anatome 0.1.1's similarities, without `uutils`, which it imports and does not declare."""
    stand_in("uutils.torch_uu")
    return importlib.import_module("anatome.similarity")


def thingsvision(name: str) -> ModuleType:
    """A module of thingsvision 2.7.3's CKA, without its extractors (tensorflow, torchvision, an old numpy)."""
    stand_in("torchtyping", TensorType=_Annotation)
    return _inside("thingsvision", "core.cka." + name)


def deep_reps(name: str) -> ModuleType:
    """A module of deep-reps 0.0.6, past its `__init__`: as released, `import deep_reps` is a circular import."""
    return _inside("deep_reps", name)


def _inside(package: str, name: str) -> ModuleType:
    """A submodule, without running the `__init__` of the package around it."""
    if package not in sys.modules:
        spec = importlib.util.find_spec(package)  # of a top-level package: runs nothing
        if spec is None or spec.origin is None:
            raise ModuleNotFoundError(f"no module named {package!r}", name=package)
        root = Path(spec.origin).parent
        _bare(package, root)
        for parent in list(Path(*name.split(".")).parents)[-2::-1]:  # core, core/cka
            _bare(f"{package}.{'.'.join(parent.parts)}", root / parent)
    return importlib.import_module(f"{package}.{name}")


def _bare(name: str, folder: Path) -> None:
    module = ModuleType(name)
    module.__path__ = [str(folder)]
    sys.modules[name] = module
