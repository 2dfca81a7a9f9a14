"""A model of transformers put together from weights that came from elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from otoscope.adapters.huggingface.faults import quiet
from otoscope.errors import CaptureError

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

    from otoscope.adapters.huggingface import HuggingFaceRecogniser

__all__ = ["assembled", "recogniser_of"]


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
    import transformers

    with quiet(transformers):
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


def recogniser_of(parts: tuple[Any, Any, Any], folder: Path, *, language: str = "en") -> HuggingFaceRecogniser:
    """A model, its feature extractor and its tokeniser as a recogniser, named after the folder that they come from."""
    from otoscope.adapters.huggingface import HuggingFaceRecogniser

    model, feature_extractor, tokeniser = parts
    return HuggingFaceRecogniser(
        model,
        feature_extractor=feature_extractor,
        tokeniser=tokeniser,
        language=language,
        name=folder.resolve().name,
        source=str(folder),
    )
