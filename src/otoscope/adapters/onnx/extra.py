"""The packages that ONNX graphs need, imported when first used: they are an extra."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from typing import Any

from otoscope.errors import CaptureError

__all__ = ["flatbuffer_classes", "needed"]


def needed(name: str) -> Any:
    """The module of this name. Raises CaptureError with the command that installs it where it is not there."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        package = name.partition(".")[0]
        raise CaptureError(
            f"ONNX graphs need the package {package}, which is not installed. Install it: pip install 'otoscope[onnx]'"
        ) from error


def flatbuffer_classes() -> Any:
    """onnxruntime's own classes for its flatbuffers, `ort_flatbuffers_py.fbs`."""
    needed("flatbuffers")
    name = "ort_flatbuffers_py"
    if name not in sys.modules:
        # They lie in onnxruntime under a top-level name that is on no path: loaded here without touching sys.path.
        folder = Path(needed("onnxruntime").__file__).parent / "tools" / "ort_format_model" / name
        spec = importlib.util.spec_from_file_location(
            name, folder / "__init__.py", submodule_search_locations=[str(folder)]
        )
        if spec is None or spec.loader is None or not folder.is_dir():
            raise CaptureError(
                f"this onnxruntime ({needed('onnxruntime').__version__}) has no classes to read .ort files with; "
                "expected tools/ort_format_model in it. Install the package from PyPI: pip install onnxruntime"
            )
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return importlib.import_module(f"{name}.fbs")
