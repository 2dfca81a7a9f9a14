"""Recognisers to look into: which layers of them, on which utterances, and what they hear."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from otoscope.asr import FRAME_SHIFT_SECONDS, ReferenceRecogniser, log_mel, pad
from otoscope.asr.batching import batches_by_length
from otoscope.capture import INPUT, Batch, Decodes, Finds, Layer, Recogniser, Seconds, Speech, Transcribes
from otoscope.corpora import Utterance, read_audio
from otoscope.errors import CaptureError, StudyError
from otoscope.loading import load_recogniser
from otoscope.study.measuring import BATCH_FRAMES

__all__ = [
    "Model",
    "chosen_layers",
    "costs",
    "hearable",
    "heard_by",
    "loaded",
    "name_of",
    "prepared",
    "source_of",
    "spread",
]

Model = str | Path | Recogniser
"""A recogniser, or its name or path, see `load_recogniser`."""


def loaded(model: Model) -> Recogniser:
    """The recogniser itself, loaded where it is a name or a path."""
    return load_recogniser(model) if isinstance(model, str | Path) else model


def spread(utterances: Sequence[Utterance], count: int) -> list[Utterance]:
    """At most so many utterances, spread evenly."""
    every = max(1, len(utterances) / count)
    return [utterances[int(i * every)] for i in range(min(count, len(utterances)))]


def costs(speech: Sequence[Utterance], recognisers: Iterable[object]) -> dict[str, int]:
    """Utterance → what it costs a batch, in hundredths of a second: its own length, or what it is padded to."""
    least = max((padded_seconds(recogniser) or 0.0 for recogniser in recognisers), default=0.0)
    return {u.id: max(1, round(max(u.duration, least) / FRAME_SHIFT_SECONDS)) for u in speech}


def padded_seconds(recogniser: object) -> Seconds | None:
    """To how many seconds a recogniser pads all speech, None where it takes any length."""
    return getattr(recogniser, "padded_seconds", None)


def hearable(
    speech: Sequence[Utterance], recognisers: Mapping[str, Recogniser], layers: Mapping[str, Sequence[Layer]]
) -> tuple[list[Utterance], list[str]]:
    """The utterances that all recognisers can be looked into on, and why each of the others is left out."""
    kept, left_out = [], []
    for utterance in speech:
        reason = _unfit(utterance, recognisers, layers)
        if reason:
            left_out.append(f"{utterance.id}: {reason}")
        else:
            kept.append(utterance)
    return kept, left_out


def _unfit(utterance: Utterance, recognisers: Mapping[str, Recogniser], layers: Mapping[str, Sequence[Layer]]) -> str:
    for role, recogniser in recognisers.items():
        most = padded_seconds(recogniser)
        if most is not None and utterance.duration > most:
            return f"{utterance.duration:.1f} s, more than the {most:g} s that {name_of(recogniser)} takes"
        if not layers[role]:
            continue
        if any(layer.over == "tokens" for layer in layers[role]):
            if not utterance.text.split():
                return "no transcript to feed a decoder"
            continue
        frames = round(utterance.duration / recogniser.frame_shift)
        # 0 stands for a length that the corpus does not tell.
        if frames and any(layer.frames([frames], recogniser.frame_shift) == [0] for layer in layers[role]):
            return f"{utterance.duration:.2f} s, too short for a frame"
    return ""


def name_of(recogniser: object) -> str:
    """What a recogniser is called in messages."""
    return str(getattr(recogniser, "name", type(recogniser).__name__))


def source_of(recogniser: object) -> str:
    """What a recogniser was loaded from, with its revision where it has one."""
    return str(getattr(recogniser, "source", type(recogniser).__name__))


def prepared(recognisers: Mapping[str, Recogniser], speech: Sequence[Speech], *, inputs: bool) -> dict[str, Batch]:
    """What each recogniser makes of some utterances, and with `inputs` their log-mel features.

    Reference recognisers all take these features, which are computed once.
    """
    log_mels: Batch | None = None
    made: dict[str, Batch] = {}
    for role, recogniser in recognisers.items():
        if isinstance(recogniser, ReferenceRecogniser):
            made[role] = log_mels = log_mels or recogniser.prepare(speech)
        else:
            made[role] = recogniser.prepare(speech)
    if inputs:
        made[INPUT] = log_mels or Batch(*pad([log_mel(one.audio) for one in speech]))
    return made


def heard_by(
    recogniser: Transcribes, speech: Sequence[Utterance], progress: Callable[[int], None] | None = None
) -> dict[str, str]:
    """What a recogniser hears of each utterance, a minute of speech at a time."""
    by_id = {u.id: u for u in speech}
    heard: dict[str, str] = {}
    for batch in batches_by_length(costs(speech, [recogniser]), frames=BATCH_FRAMES):
        texts = recogniser.transcribe([Speech(read_audio(by_id[u]), by_id[u].text) for u in batch])
        heard |= zip(batch, texts, strict=True)
        if progress is not None:
            progress(len(heard))
    return heard


def chosen_layers(
    recognisers: Mapping[str, Recogniser], patterns: Sequence[str] | None, *, decoder: bool
) -> dict[str, list[Layer]]:
    """The layers that are asked for of each recogniser: one a block of encoder or decoder, or some names or globs.

    A pattern may match in one of two recognisers only, since they call their layers differently. Raises CaptureError
    or StudyError for one that matches in neither, and for a recogniser in which none does.
    """
    if patterns is None:
        return {role: _blocks(recogniser, decoder=decoder) for role, recogniser in recognisers.items()}
    found: dict[str, dict[str, Layer]] = {role: {} for role in recognisers}
    for pattern in patterns:
        problems: list[CaptureError] = []
        for role, recogniser in recognisers.items():
            try:
                found[role] |= {layer.name: layer for layer in _matching(recogniser, pattern)}
            except CaptureError as error:
                problems.append(error)
        if len(problems) == len(recognisers):
            raise problems[0]
    for role, recogniser in recognisers.items():
        if not found[role]:
            raise StudyError(
                f"none of {', '.join(patterns)} matches a layer of {name_of(recogniser)}: name some of its layers too; "
                "`otoscope layers` shows them"
            )
    return {role: list(own.values()) for role, own in found.items()}


def _blocks(recogniser: Recogniser, *, decoder: bool) -> list[Layer]:
    if not decoder:
        return list(recogniser.layers())
    own = list(recogniser.decoder_layers()) if isinstance(recogniser, Decodes) else []
    if not own:
        raise StudyError(f"{name_of(recogniser)} has no decoder whose layers could be compared")
    return own


def _matching(recogniser: Recogniser, pattern: str) -> list[Layer]:
    if isinstance(recogniser, Finds):
        return list(recogniser.find([pattern]))
    parts, known = pattern.split("."), list(recogniser.layers())
    own = [
        layer
        for layer in known
        if len(layer.name.split(".")) == len(parts) and all(map(fnmatchcase, layer.name.split("."), parts))
    ]
    if not own:
        there = ", ".join(layer.name for layer in known)
        raise CaptureError(f"no layer matches {pattern!r}; those of {name_of(recogniser)} are {there}")
    return own
