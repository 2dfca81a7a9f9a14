"""`otoscope series`: how the layers of somebody else's recogniser changed while it trained."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Annotated

import xarray as xr
from cyclopts import Parameter

from otoscope.adapters.series import series as series_of
from otoscope.cli.options import (
    Decoder,
    Intervals,
    Json,
    Layers,
    Measures,
    RemoteCode,
    Samples,
    Utterances,
)
from otoscope.cli.progress import showing_progress
from otoscope.cli.speech import Format, Speaking, Split, checked, part_of, some_of
from otoscope.corpora import load
from otoscope.loading import load_recogniser
from otoscope.study import Results, measure_series
from otoscope.study.needs import SAMPLES

__all__ = ["series"]


def series(
    place: Annotated[str, Parameter(help="A folder with the checkpoints, or organisation/model@one,two on the hub.")],
    *,
    base: Annotated[
        str | None, Parameter(help="The model that state dicts belong to: a name or path as for measure.")
    ] = None,
    corpus: Speaking = "default",
    format: Format = None,
    split: Split = None,
    utterances: Utterances = 100,
    measures: Measures = ("cka",),
    layers: Layers = None,
    decoder: Decoder = False,
    samples: Samples = SAMPLES,
    intervals: Intervals = False,
    out: Annotated[Path | None, Parameter(help="A folder for results.nc; the same line again goes on in it.")] = None,
    trust_remote_code: RemoteCode = False,
    json_: Json = False,
) -> None:
    """Compare the layers of a training that ran elsewhere at each of its checkpoints."""
    loading = partial(load_recogniser, trust_remote_code=trust_remote_code)
    found = series_of(place, base=base, load=loading)
    speech = some_of(part_of(load(corpus, format=format), split), utterances)
    with showing_progress() as progress:
        for skipped in found.skipped:
            progress(f"left out {skipped}", 1, 1)
        dataset = measure_series(
            found,
            corpus=checked(speech, progress),
            measures=measures,
            layers=layers,
            decoder=decoder,
            utterances=utterances,
            samples=samples,
            intervals=intervals,
            out=out,
            progress=progress,
        )
    results, run = Results(dataset), next(iter(Results(dataset).runs))
    curves = {name: {kind: results.curve(kind, run, name) for kind in ("to_final", "to_previous")} for name in measures}
    if json_:
        plain = {
            name: {kind: json.loads(curve.to_pandas().to_json(orient="split")) for kind, curve in own.items()}
            for name, own in curves.items()
        }
        about = {"name": found.name, "steps": found.steps, "told_by": found.told_by, "skipped": found.skipped}
        print(json.dumps({**about, "curves": plain}, indent=1))
        return
    print(f"{found.name}: {len(found.steps)} checkpoints, steps told by {found.told_by}")
    for name, own in curves.items():
        for kind, said in (("to_final", "its final state"), ("to_previous", "the checkpoint before")):
            print(f"\n{name} of each layer with {said}, by step\n{_table(own[kind])}")


def _table(curve: xr.DataArray) -> str:
    return str(curve.to_pandas().round(3).to_string(na_rep="–"))
