"""`otoscope measure`, `layers` and `transcribe`: look into trained recognisers without a study."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

import xarray as xr
from cyclopts import Parameter

from otoscope.capture.discovery import discover
from otoscope.cli.options import (
    Decoder,
    Intervals,
    Json,
    Language,
    Layers,
    Many,
    Measures,
    Model,
    RemoteCode,
    Revision,
    Samples,
    Utterances,
)
from otoscope.cli.progress import showing_progress
from otoscope.cli.similarities import as_json, as_text, describe
from otoscope.cli.speech import Format, Speaking, Split, checked, one_of, part_of, some_of
from otoscope.corpora import load
from otoscope.errors import StudyError
from otoscope.loading import load_recogniser
from otoscope.measures import registry
from otoscope.study import match_layers, plan_measure
from otoscope.study import measure as measure_layers
from otoscope.study import transcribe as transcribe_speech
from otoscope.study.needs import SAMPLES

__all__ = ["layers", "measure", "transcribe"]


def measure(
    model: Model,
    other: Annotated[str | None, Parameter(help="A second one [the first with itself].")] = None,
    *,
    corpus: Speaking = "default",
    format: Format = None,
    split: Split = None,
    utterances: Utterances = 300,
    measures: Measures = ("cka",),
    layers: Layers = None,
    decoder: Decoder = False,
    transcripts: Annotated[
        Literal["reference", "own"], Parameter(help="What decoders are fed: what was said, or what the model writes.")
    ] = "reference",
    samples: Samples = SAMPLES,
    intervals: Intervals = False,
    out: Annotated[Path | None, Parameter(help="Also write the result as netCDF.")] = None,
    dry_run: Annotated[
        bool, Parameter(negative=(), show_default=False, help="Say what would be compared, how, and in what memory.")
    ] = False,
    revision: Revision = None,
    language: Language = "en",
    trust_remote_code: RemoteCode = False,
    json_: Json = False,
) -> None:
    """Compare every layer of a recogniser with every other, or with those of another recogniser."""
    for name in measures:
        registry.get(name)  # a wrong name is an error now, not when models have been loaded
    if out is not None and not out.absolute().parent.is_dir():
        raise StudyError(f"--out is {out}, and there is no folder {out.absolute().parent}: make it first")
    speech = some_of(part_of(load(corpus, format=format), split), utterances)
    how: dict[str, Any] = {"revision": revision, "language": language, "trust_remote_code": trust_remote_code}
    one, two = (None if name is None else load_recogniser(name, **how) for name in (model, other))
    assert one is not None
    asked: dict[str, Any] = {
        "measures": measures,
        "layers": layers,
        "decoder": decoder,
        "transcripts": transcripts,
        "utterances": utterances,
        "samples": samples,
        "intervals": intervals,
    }
    if dry_run:
        plan = plan_measure(one, two, corpus=speech, **asked)
        print(json.dumps(asdict(plan), indent=1) if json_ else describe(plan, measures))
        return
    with showing_progress() as progress:
        speech = checked(speech, progress)
        found = measure_layers(
            one,
            two,
            corpus=speech,
            progress=lambda done: progress("comparing layers", done, min(utterances, len(speech))),
            **asked,
        )
    if out is not None:
        found.to_netcdf(out, engine="h5netcdf")
    matched = _matched(found) if two is not None else {}
    print(json.dumps(as_json(found, matched), indent=1) if json_ else as_text(found, matched))


def layers(
    model: Model,
    *,
    layers: Annotated[tuple[str, ...] | None, Many, Parameter(help="Only those of some names or globs.")] = None,
    corpus: Speaking = "default",
    format: Format = None,
    verbose: Annotated[
        bool, Parameter(negative=(), show_default=False, help="Show blocks that are alike one by one.")
    ] = False,
    revision: Revision = None,
    language: Language = "en",
    trust_remote_code: RemoteCode = False,
    json_: Json = False,
) -> None:
    """Show what can be captured of a recogniser, found out by running it on one utterance."""
    recogniser = load_recogniser(model, revision=revision, language=language, trust_remote_code=trust_remote_code)
    found = discover(recogniser, one_of(load(corpus, format=format)), patterns=layers)
    source = str(getattr(recogniser, "source", model))
    if json_:
        print(json.dumps({"model": source, **found.to_dict()}, indent=1))
        return
    print(f"{source}: {found.kind}, {found.parameters} weights, seen on {found.seconds:.1f} s of speech")
    print(found.as_tree(verbose=verbose))
    print(f"* by default, those of decoders with --decoder; for --layers: {', '.join(shortened(found.default))}")
    for warning in found.warnings:
        print(f"warning: {warning}")


def transcribe(
    model: Model,
    *,
    corpus: Speaking = "default",
    format: Format = None,
    split: Split = None,
    utterances: Utterances = 300,
    revision: Revision = None,
    language: Language = "en",
    trust_remote_code: RemoteCode = False,
    json_: Json = False,
) -> None:
    """Write what a recogniser hears, and its word and character error rates."""
    speech = some_of(part_of(load(corpus, format=format), split), utterances)
    recogniser = load_recogniser(model, revision=revision, language=language, trust_remote_code=trust_remote_code)
    with showing_progress() as progress:
        speech = checked(speech, progress)
        found = transcribe_speech(
            recogniser,
            corpus=speech,
            utterances=utterances,
            progress=lambda done: progress("transcribing", done, min(utterances, len(speech))),
        )
    if json_:
        print(json.dumps(asdict(found), indent=1))
        return
    for utterance, text in found.transcripts.items():
        print(f"{utterance}\t{text}")
    for left_out in found.left_out:
        print(f"left out {left_out}")
    print(
        f"WER {found.wer:.1%}, CER {found.cer:.1%}: {len(found.transcripts)} utterances, {found.words} words, "
        f"texts normalised by {found.normaliser}"
    )


def _matched(found: xr.Dataset) -> dict[str, Any]:
    return {
        str(name): match_layers(found[name], distance=registry.get(str(name)).distance)
        for name in found.data_vars
        if found[name].notnull().any("layer_y").all()
    }


def shortened(names: Sequence[str]) -> list[str]:
    """Layers' names with blocks that are numbered through in one, as a glob."""
    return list(dict.fromkeys(re.sub(r"\.\d+$", ".*", name) for name in names))
