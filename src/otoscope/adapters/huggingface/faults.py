"""The library's errors as ours: one line that says what is wrong with a model and what to do about it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from otoscope.errors import CaptureError

__all__ = ["CONVERT", "got", "quiet"]

CONVERT = (
    "where you trust it, convert it: AutoModel.from_pretrained(folder).save_pretrained(folder), or for a model on the "
    "hub the space huggingface.co/spaces/safetensors/convert"
)


@contextmanager
def quiet(transformers: Any) -> Iterator[None]:
    """No progress bars and reports of the library's own: what is wrong becomes an error here."""
    logs = transformers.utils.logging
    level, bars = logs.get_verbosity(), logs.is_progress_bar_enabled()
    try:
        logs.set_verbosity_error()
        logs.disable_progress_bar()
        yield
    finally:
        logs.set_verbosity(level)
        if bars:
            logs.enable_progress_bar()


def got(name: str, read: Callable[[], Any]) -> Any:
    """What a call of the library gives, its errors as one of ours that says what to do."""
    from safetensors import SafetensorError

    try:
        return read()
    except CaptureError:
        raise
    except SafetensorError as error:
        raise CaptureError(
            f"the weights of {name} cannot be read as safetensors: {error}. Download or copy the file again"
        ) from error
    except ImportError as error:
        raise CaptureError(f"{name} needs a package that is not installed: {_first_line(error)}") from error
    except (OSError, ValueError, KeyError, RuntimeError, TypeError, AttributeError) as error:
        raise _refusal(name, error) from error


def _refusal(name: str, error: Exception) -> CaptureError:
    """What the library's error means, told by its words: it has one class for most of them."""
    said = str(error)
    if "trust_remote_code" in said:
        return CaptureError(
            f"{name} brings Python code of its own, which is not run unless you say so: read that code, and if you "
            "trust it, pass trust_remote_code=True (--trust-remote-code)"
        )
    if "use_safetensors" in said:
        return CaptureError(f"{name} has no safetensors weights, and pickles are not read: {CONVERT}")
    if any(word in said.lower() for word in ("connect", "offline", "max retries", "resolve host")):
        return CaptureError(
            f"{name} is no folder here and cannot be fetched: the Hugging Face hub is out of reach, and it is not "
            "among the models downloaded before. Download it where there is a network, and give the folder"
        )
    return CaptureError(f"{name} cannot be loaded as a speech model of transformers: {_first_line(error)}")


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
