"""A model of transformers put together from weights that came from elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from otoscope.errors import CaptureError

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

__all__ = ["assembled"]


def assembled(kind: Any, config: PreTrainedConfig, weights: Mapping[str, Tensor], *, source: Path) -> Any:
    """A model of this class and configuration with these weights, in eval mode.

    Arguments:
        kind: a class of transformers, such as `WhisperForConditionalGeneration`.
        config: its configuration; sizes must be those of the weights.
        weights: by transformers' names, all of them (tied ones once).
        source: where they come from, for the message.

    Raises:
        CaptureError: a weight is missing, has another shape than the configuration asks for, or has no place.
    """
    with _quiet():
        # Through from_pretrained, because it skips the random start and leaves the random state as it was.
        model, found = kind.from_pretrained(
            None, config=config, state_dict=dict(weights), output_loading_info=True, ignore_mismatched_sizes=True
        )
    wrong = {f"{name} missing" for name in found["missing_keys"]}
    wrong |= {f"{name} not expected" for name in found["unexpected_keys"]}
    wrong |= {f"{name} of shape {tuple(own)}, expected {tuple(asked)}" for name, own, asked in found["mismatched_keys"]}
    if wrong:
        shown = "; ".join(sorted(wrong)[:4]) + ("; …" if len(wrong) > 4 else "")
        raise CaptureError(f"{source} does not fit {kind.__name__} ({len(wrong)} weights): {shown}")
    return model.eval()


@contextmanager
def _quiet() -> Iterator[None]:
    """Without transformers' progress bar and its table of weights that do not fit, of which the error says enough."""
    from transformers.utils import logging

    bar, level = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bar:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]
