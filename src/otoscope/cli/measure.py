"""`otoscope measure` and `layers`: look into trained recognisers without a study."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from otoscope.asr import ReferenceRecogniser
from otoscope.cli.options import AtLeastOne, Json, Many
from otoscope.cli.progress import showing_progress
from otoscope.cli.similarities import as_json, as_text, describe
from otoscope.corpora import Corpus, check, load, summarise
from otoscope.errors import CorpusError
from otoscope.study import measure as measure_layers
from otoscope.study import plan_measure
from otoscope.study.needs import SAMPLES

__all__ = ["layers", "measure"]


def measure(
    checkpoint: Path,
    other: Path | None = None,
    *,
    corpus: Annotated[str, Parameter(help='The speech to compare on: a corpus folder, or "default".')] = "default",
    format: Annotated[str | None, Parameter(help="The corpus layout, where it is not to be guessed.")] = None,
    split: Annotated[str | None, Parameter(help='Which split of it; "all" for all [test, where there is one].')] = None,
    utterances: Annotated[int, AtLeastOne, Parameter(help="At most this many, spread over the split.")] = 300,
    measures: Annotated[tuple[str, ...], Many, Parameter(help="Similarity measures.")] = ("cka",),
    layers: Annotated[tuple[str, ...] | None, Many, Parameter(help="Layer names or globs [one a block].")] = None,
    samples: Annotated[
        int, AtLeastOne, Parameter(help="Frames to keep, of whole utterances, for measures that need frames.")
    ] = SAMPLES,
    intervals: Annotated[
        bool, Parameter(negative=(), show_default=False, help="Add 95 % intervals, by leaving out blocks of speakers.")
    ] = False,
    out: Annotated[Path | None, Parameter(help="Also write the result as netCDF.")] = None,
    dry_run: Annotated[
        bool, Parameter(negative=(), show_default=False, help="Say what would be compared, how, and in what memory.")
    ] = False,
    json_: Json = False,
) -> None:
    """Compare every layer of a checkpoint with every other, or with those of another checkpoint."""
    speech = _part(load(corpus, format=format), split)
    asked: dict[str, Any] = {
        "measures": measures,
        "layers": layers,
        "utterances": utterances,
        "samples": samples,
        "intervals": intervals,
    }
    if dry_run:
        plan = plan_measure(checkpoint, other, corpus=speech, **asked)
        print(json.dumps(asdict(plan), indent=1) if json_ else describe(plan, measures))
        return
    with showing_progress() as progress:
        speech = check(speech, progress=lambda done, total: progress("checking audio", done, total))
        if speech.problems:
            progress(f"problems, {summarise(speech.problems)}", 1, 1)
        found = measure_layers(
            checkpoint,
            other,
            corpus=speech,
            progress=lambda done: progress("comparing layers", done, min(utterances, len(speech))),
            **asked,
        )
    if out is not None:
        found.to_netcdf(out, engine="h5netcdf")
    print(json.dumps(as_json(found), indent=1) if json_ else as_text(found))


def layers(checkpoint: Path, *, json_: Json = False) -> None:
    """List the layers of a checkpoint that can be captured: name, kind, units, stride, parameters."""
    recogniser = ReferenceRecogniser.load(checkpoint)
    rows = []
    for layer in recogniser.layers():
        count = sum(p.numel() for p in recogniser.module.get_submodule(layer.name).parameters())
        rows.append({**asdict(layer), "parameters": count})
    if json_:
        print(json.dumps({"architecture": recogniser.architecture, "step": recogniser.step, "layers": rows}, indent=1))
        return
    print(f"{recogniser.architecture}, {recogniser.parameters} parameters, step {recogniser.step}")
    print(f"{'layer':16} {'kind':12} {'units':>6} {'stride':>8} {'parameters':>11}")
    for row in rows:
        stride = f"{1000 * row['stride']:.0f} ms"
        print(f"{row['name']:16} {row['kind']:12} {row['units']:6} {stride:>8} {row['parameters']:11}")


def _part(speech: Corpus, split: str | None) -> Corpus:
    """The split asked for, else test, else the first."""
    if not speech.splits:
        raise CorpusError(f"no utterance of the corpus {speech.name!r} can be used:\n{summarise(speech.problems)}")
    if split == "all":
        return speech
    if split is not None and split not in speech.splits:
        raise CorpusError(
            f"the corpus {speech.name!r} has no split {split!r}; --split takes {', '.join(speech.splits)} or all"
        )
    return speech.split(split or ("test" if "test" in speech.splits else speech.splits[0]))
