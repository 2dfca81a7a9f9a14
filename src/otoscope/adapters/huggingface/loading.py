"""Speech models of transformers from a folder or the hub, without unpickling anything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from otoscope.adapters.huggingface.faults import CONVERT, got, quiet
from otoscope.adapters.huggingface.hub import from_hub
from otoscope.adapters.huggingface.recogniser import HuggingFaceRecogniser
from otoscope.adapters.huggingface.structure import AUDIO_INPUTS
from otoscope.adapters.weights import read_weights
from otoscope.errors import CaptureError

__all__ = ["load_huggingface"]

INSTEAD = {
    "seamless_m4t": "SeamlessM4TForSpeechToText",
    "seamless_m4t_v2": "SeamlessM4Tv2ForSpeechToText",
}
"""Models that take text as well as speech: the class that takes speech, in place of the one the folder names."""

NOT_IN_FILE = ("masked_spec_embed",)
"""Weights that a folder may lack: they are used in training only."""

TOKENISERS = ("tokenizer_config.json", "tokenizer.json", "vocab.json")
"""One of these lies where there is a tokeniser."""

PICKLES = ("pytorch_model.bin", "pytorch_model.bin.index.json")


def load_huggingface(
    name_or_folder: str | Path,
    *,
    revision: str | None = None,
    trust_remote_code: bool = False,
    weights: Path | None = None,
    language: str = "en",
) -> HuggingFaceRecogniser:
    """A speech model of transformers, from a local folder or by its name on the hub.

    Weights are read from safetensors only, as float32. A revision on the hub is resolved to the commit that it stands
    for; everything comes from that commit, and `source` names it.

    Arguments:
        name_or_folder: a folder as `save_pretrained` writes it, or a name on the hub such as "openai/whisper-tiny".
        revision: a branch, a tag or a commit on the hub.
        trust_remote_code: whether Python code that comes with the model may be run.
        weights: a safetensors file, or a folder of them, in place of the folder's own weights, such as those of another
            checkpoint of the same training.
        language: the language code in the prompt of a multilingual model.

    Raises:
        CaptureError: transformers is not installed; no such model, or the hub is out of reach; a model that takes no
            speech, that needs code of its own, whose weights are pickled, damaged or not all there, or that lacks its
            feature extractor.
    """
    transformers = _transformers()
    name, local = str(name_or_folder), Path(name_or_folder).is_dir()
    shared: dict[str, Any] = {"trust_remote_code": trust_remote_code}
    with quiet(transformers):
        if not local:
            shared |= from_hub(revision)
            shared["revision"] = revision = got(name, lambda: _commit(transformers, name, shared))
        config = got(name, lambda: transformers.AutoConfig.from_pretrained(name, **shared))
        kind = _class_of(transformers, config, name, trust_remote_code=trust_remote_code)
        if local and weights is None:
            _refuse_pickles(Path(name))
        extractor = got(name, lambda: _feature_extractor(transformers, name, shared))
        model = _model(kind, name, config, weights, shared)
        tokeniser = got(name, lambda: _tokeniser(transformers, name, shared))
    return HuggingFaceRecogniser(
        model,
        feature_extractor=extractor,
        tokeniser=tokeniser,
        language=language,
        name=Path(name).resolve().name if local else name,
        source=str(Path(weights or name).resolve()) if local else f"{name}@{revision}",
    )


def _transformers() -> Any:
    try:
        import transformers
    except ImportError as error:
        raise CaptureError(
            "models of transformers need the package transformers, which is not installed: "
            "pip install 'otoscope[transformers]'"
        ) from error
    return transformers


def _commit(transformers: Any, name: str, shared: dict[str, Any]) -> str:
    """The commit that a revision on the hub stands for: the folder of the cache that its configuration lies in."""
    asked = {key: shared[key] for key in ("revision", "local_files_only")}
    file = Path(transformers.utils.cached_file(name, "config.json", **asked))
    if file.parent.parent.name != "snapshots":
        raise CaptureError(
            f"which commit {shared['revision'] or 'main'} of {name} stands for cannot be told: its configuration is "
            f"{file}, not in a snapshot of the hub's cache. Download the model, and give the folder"
        )
    return file.parent.name


def _class_of(transformers: Any, config: Any, name: str, *, trust_remote_code: bool) -> Any:
    """The class that the model is loaded as: what its configuration names, or the library's own choice."""
    remote = getattr(config, "auto_map", None) or {}
    if trust_remote_code and remote:
        autos = ("AutoModelForCTC", "AutoModelForSpeechSeq2Seq", "AutoModel")
        return getattr(transformers, next((auto for auto in autos if auto in remote), "AutoModel"))
    named = [INSTEAD.get(config.model_type), *(getattr(config, "architectures", None) or [])]
    kind = next((getattr(transformers, one) for one in named if one and hasattr(transformers, one)), None)
    takes = getattr(kind, "main_input_name", None)
    if kind is not None and takes is not None and takes not in AUDIO_INPUTS:
        raise CaptureError(
            f"{name} is a {kind.__name__}, which takes {takes} and not speech: it has no speech encoder to look into"
        )
    return kind or transformers.AutoModel


def _model(kind: Any, name: str, config: Any, weights: Path | None, shared: dict[str, Any]) -> Any:
    import torch

    settings: dict[str, Any] = {"config": config, "dtype": torch.float32, "output_loading_info": True}
    if weights is None:
        model, info = got(name, lambda: kind.from_pretrained(name, use_safetensors=True, **settings, **shared))
    else:
        state = _read(weights)
        model, info = got(str(weights), lambda: kind.from_pretrained(None, state_dict=state, **settings))
    missing = sorted(key for key in info["missing_keys"] if not key.endswith(NOT_IN_FILE))
    if missing:
        raise CaptureError(
            f"{weights or name} lacks {len(missing)} of the weights of {type(model).__name__}, such as {missing[0]}: "
            "they would be random. Give weights of the same model"
        )
    return model


def _read(weights: Path) -> dict[str, Any]:
    """The tensors of a safetensors file, or of all those in a folder."""
    files = sorted(weights.glob("*.safetensors")) if weights.is_dir() else [weights]
    if weights.is_dir() and not files:
        _refuse_pickles(weights)
        raise CaptureError(f"{weights} holds no .safetensors file: give the folder or the file with the weights")
    if files[0].suffix != ".safetensors":
        raise CaptureError(f"{weights} is no safetensors file, and models of transformers take no other: {CONVERT}")
    return {name: tensor for file in files for name, tensor in read_weights(file).items()}


def _refuse_pickles(folder: Path) -> None:
    pickled = next((folder / one for one in PICKLES if (folder / one).is_file()), None)
    if pickled is not None and not any(folder.glob("*.safetensors")):
        raise CaptureError(
            f"{folder} has its weights as a pickle ({pickled.name}), which can run code when it is read, and is not: "
            f"{CONVERT}"
        )


def _feature_extractor(transformers: Any, name: str, shared: dict[str, Any]) -> Any:
    try:
        return transformers.AutoFeatureExtractor.from_pretrained(name, **shared)
    except (OSError, ValueError) as error:
        # Some models keep it inside their processor's configuration only.
        try:
            return transformers.AutoProcessor.from_pretrained(name, **shared).feature_extractor
        except (OSError, ValueError, AttributeError, ImportError):
            raise error from None


def _tokeniser(transformers: Any, name: str, shared: dict[str, Any]) -> Any:
    for file in TOKENISERS:
        try:
            asked = {key: shared[key] for key in ("revision", "local_files_only") if key in shared}
            transformers.utils.cached_file(name, file, **asked)
        except OSError:
            continue
        return transformers.AutoTokenizer.from_pretrained(name, **shared)
    return None  # base models have none: what needs one says so
