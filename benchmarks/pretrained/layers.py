"""Layer × layer similarity with 95 % intervals, encoders and decoders."""

from __future__ import annotations

import xarray as xr
from benchmarks.pretrained.figures import heatmap, short
from benchmarks.pretrained.models import MODELS, corpus
from benchmarks.pretrained.records import Record, Records, paragraph

from otoscope.corpora import Corpus
from otoscope.study import measure
from otoscope.study.looking import spread

UTTERANCES = 42
MEASURE = "cka"
BESIDE = ("null", "low", "high")


def run(models: list[str], utterances: int | None, records: Records) -> list[str]:
    """The heatmaps of each model."""
    speech = heard_of(utterances)
    for model in models:
        with records.kept("layers", model) as record:
            recogniser = MODELS[model].load()
            for part in ("encoder", "decoder")[: 1 + MODELS[model].decoder]:
                decoder = part == "decoder"
                found = measure(recogniser, corpus=speech, measures=[MEASURE], decoder=decoder, intervals=True)
                record[part] = plain(found)
        write(records)
    return []


def heard_of(utterances: int | None) -> Corpus:
    """Utterances of all splits, so that all 28 speakers are heard: intervals leave speakers out."""
    speech = corpus()
    return speech.keep(spread(speech.utterances, min(UTTERANCES, utterances or UTTERANCES)))


def plain(found: xr.Dataset) -> Record:
    """A comparison as plain values."""
    table = found[MEASURE]
    return {
        **{name: found.attrs[name] for name in ("grid", "frames", "utterances", "clusters", "cluster_count")},
        "rows": table["layer_x"].values.tolist(),
        "columns": table["layer_y"].values.tolist(),
        "value": table.values.tolist(),
        **{kind: table[f"{MEASURE}_{kind}"].values.tolist() for kind in BESIDE},
    }


def matrix_lines(one: Record, *, corner: str = "") -> list[str]:
    """A table of value [low, high]."""
    rows, columns = short(one["rows"]), short(one["columns"])
    lines = [f"| {corner} | {' | '.join(columns)} |", "|---" * (1 + len(columns)) + "|"]
    for i, row in enumerate(rows):
        cells = [
            f"{one['value'][i][j]:.2f} [{one['low'][i][j]:.2f}, {one['high'][i][j]:.2f}]" for j in range(len(columns))
        ]
        lines.append(f"| {row} | {' | '.join(cells)} |")
    return lines


def steps_of(one: Record) -> str:
    grid = one["grid"]
    steps = f"{grid}s" if isinstance(grid, str) else f"frames, one every {1000 * grid:g} ms"
    return (
        f"{one['utterances']} utterances, {one['frames']} {steps}; intervals leave out {one['cluster_count']} "
        f"{one['clusters']} in turn, in blocks."
    )


def write(records: Records) -> None:
    found = records.of("layers", list(MODELS))
    text = f"""
    `{MEASURE}` (the cross-utterance estimator) of every layer with every layer, value [95 % interval]. Utterances are
    spread over the speakers of librispeech-mini. The interval is a jackknife, freed of bias. Decoders hear the
    reference text (teacher forcing), and their steps are tokens. Layers are named below the module that holds them all.
    A layer that is like no other may be ruled by one direction or by few frames: [dominance.md](dominance.md).
    """
    lines = paragraph(text)
    for model, record in found.items():
        for part in (part for part in ("encoder", "decoder") if part in record):
            one, figure = record[part], f"layers-{model}-{part}.svg"
            title = f"{model}, {part}, {MEASURE}"
            heatmap(records.folder / figure, one, titles=(title, "layer", "layer"))
            lines += ["", f"## {MODELS[model].what}: {part}", "", steps_of(one), "", f"![{title}]({figure})", ""]
            lines += matrix_lines(one)
    records.page("layers", "Layer by layer in pretrained recognisers", found, lines)
