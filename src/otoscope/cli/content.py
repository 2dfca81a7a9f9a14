"""`otoscope content`: what each layer of a recogniser carries."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Annotated, Any, Literal

import pandas as pd
import xarray as xr
from cyclopts import Parameter

from otoscope.cli.options import (
    Alignments,
    AtLeastOne,
    Json,
    Language,
    Layers,
    Many,
    Model,
    RemoteCode,
    Revision,
    Utterances,
)
from otoscope.cli.progress import showing_progress
from otoscope.cli.speech import Format, Speaking, Split, checked, part_of, some_of
from otoscope.corpora import load
from otoscope.corpora.textgrid import with_alignments
from otoscope.errors import StudyError
from otoscope.loading import load_recogniser
from otoscope.study.content.carried import DEFAULT_LABELS, DEFAULT_METHODS
from otoscope.study.content.carried import content as content_of
from otoscope.study.content.labels import LABELS, labels_of
from otoscope.study.content.methods import METHODS, check_methods
from otoscope.study.content.reading import FRAMES

__all__ = ["as_json", "as_text", "content"]

SUFFIXES = (".nc", ".csv")
JSON_ATTRIBUTES = ("versions", "rows_left_out", "class_names")


def content(
    model: Model,
    *,
    corpus: Speaking = "default",
    format: Format = None,
    split: Split = None,
    utterances: Utterances = 300,
    alignments: Alignments = None,
    labels: Annotated[
        tuple[str, ...], Many, Parameter(help=f"What is read off layers: {', '.join(LABELS)}.")
    ] = DEFAULT_LABELS,
    methods: Annotated[tuple[str, ...], Many, Parameter(help=f"How: {', '.join(METHODS)}.")] = DEFAULT_METHODS,
    layers: Layers = None,
    untrained: Annotated[
        str | None, Parameter(help="The same recogniser before training, as a baseline: a name or path as for MODEL.")
    ] = None,
    by: Annotated[
        Literal["speaker", "utterance"],
        Parameter(help="What is kept together, when part of the speech is left out to be tested on."),
    ] = "speaker",
    frames: Annotated[int, AtLeastOne, Parameter(help="Frames to read at most, for labels of frames.")] = FRAMES,
    seed: Annotated[int, Parameter(help="Of the shuffled baseline.")] = 0,
    out: Annotated[Path | None, Parameter(help="Also write the result: .nc (netCDF) or .csv (a row a value).")] = None,
    revision: Revision = None,
    language: Language = "en",
    trust_remote_code: RemoteCode = False,
    json_: Json = False,
) -> None:
    """Read phones, words, the speaker, … off every layer of a recogniser, on speakers that nothing was fitted to."""
    labels_of(labels)  # a wrong name is an error now, not when models have been loaded
    check_methods(methods)
    if out is not None and (out.suffix not in SUFFIXES or not out.absolute().parent.is_dir()):
        raise StudyError(
            f"--out is {out}; expected a file that ends in {' or '.join(SUFFIXES)}, in a folder that there is"
        )
    speech = part_of(load(corpus, format=format), split)
    if alignments is not None:
        speech = with_alignments(speech, alignments)
    speech = some_of(speech, utterances)
    how: dict[str, Any] = {"revision": revision, "language": language, "trust_remote_code": trust_remote_code}
    one = load_recogniser(model, **how)
    before = None if untrained is None else load_recogniser(untrained, **how)
    with showing_progress() as progress:
        found = content_of(
            one,
            corpus=checked(speech, progress),
            labels=labels,
            layers=layers,
            utterances=utterances,
            methods=methods,
            untrained=before,
            by=by,
            frames=frames,
            seed=seed,
            progress=progress,
        )
    if out is not None and out.suffix == ".nc":
        found.to_netcdf(out, engine="h5netcdf")
    elif out is not None:
        as_table(found).to_csv(out, index=False)
    print(json.dumps(as_json(found), indent=1, ensure_ascii=False) if json_ else as_text(found))


def as_table(found: xr.Dataset) -> pd.DataFrame:
    """A row for each layer, label and method."""
    return found.to_dataframe().reset_index()


def as_json(found: xr.Dataset) -> dict[str, object]:
    """What `content` found, as plain values: null for what is not a number."""
    about = {name: json.loads(value) if name in JSON_ATTRIBUTES else value for name, value in found.attrs.items()}
    rows = [{name: _plain(value) for name, value in row.items()} for row in as_table(found).to_dict("records")]
    return {**{name: _plain(value) for name, value in about.items()}, "content": rows}


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value.tolist() if hasattr(value, "tolist") else value


def as_text(found: xr.Dataset) -> str:
    """A table for each label, under what it was read on."""
    about = found.attrs
    head = (
        f"layers of {about['model']}\n{about['utterances']} utterances of {about['speakers']} speakers, "
        f"frames every {1000 * about['grid']:g} ms; input: the log-mel features\n"
        "value [95 % interval over blocks of the speech that is tested] shuffled labels"
    )
    head += " / untrained" if about["untrained"] else ""
    for told in ("left_out", "notes"):
        lines = list(about[told])
        head += f"\n{told.replace('_', ' ')}: {lines[0]}" if lines else ""
        head += f" (and {len(lines) - 1} more)" if len(lines) > 1 else ""
    return "\n\n".join([head, *(_label(found.sel(label=name)) for name in found["label"].values)])


def _label(found: xr.Dataset) -> str:
    """A heading with what the label was read on, and layers × methods."""
    name, unit = found["label"].item(), found["unit"].item()
    said = f"{name}: {found['rows'].item()} {unit}s, {found['groups'].item()} {found['grouped'].item()}s"
    if found["kind"].item() == "classes":
        chance = (
            found["chance"].sel({"method": "probe"}).max().item() if "probe" in found["method"].values else math.nan
        )
        said += f", {found['classes'].item()} classes"
        said += f" (always the most frequent: {chance:.3f})" if math.isfinite(chance) else ""
    left_out = json.loads(found.attrs["rows_left_out"])[name]
    said += "".join(f", {count} {what} left out" for what, count in left_out.items())
    metric = "accuracy" if found["kind"].item() == "classes" else "R²"
    columns = [f"probe ({metric})" if method == "probe" else method for method in found["method"].values]
    cells = [
        [_cell(found.sel({"layer": layer, "method": m})) for m in found["method"].values]
        for layer in found["layer"].values
    ]
    return f"{said}\n{pd.DataFrame(cells, index=found['layer'].values, columns=columns).to_string()}"


def _cell(found: xr.Dataset) -> str:
    value, low, high, shuffled, untrained = (
        found[name].item() for name in ("value", "low", "high", "shuffled", "untrained")
    )
    if not math.isfinite(value):
        return "–"
    said = f"{value:.3f} [{low:.3f}, {high:.3f}]" if math.isfinite(low) else f"{value:.3f} [–]"
    said += f" {shuffled:.3f}" if math.isfinite(shuffled) else ""
    return said + (f" / {untrained:.3f}" if math.isfinite(untrained) else "")
