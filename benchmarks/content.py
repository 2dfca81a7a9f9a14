"""What the layers of recognisers carry, by depth: the profile of Pasad et al. 2021 on pretrained encoders and our own.

    python -m benchmarks.content [--models NAME …] [--utterances N] [--study FOLDER] [--out FOLDER] [--pages]

Labels log-mel, phones and words, by linear probe and held-out CCA, for Whisper tiny.en and Moonshine base (weights from
packages of the Python Package Index, tests/weights.py; speech from $OTOSCOPE_CORPORA, else ../shared/corpora). With
--study, every checkpoint of the first seed of a finished study's recognisers, on its probe set: depth × training.
About 15 minutes of one thread for the two models. Pages and figures in docs/results/content/; a model that was
finished is kept in records/, and --pages writes the pages from these without running anything.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import altair as alt
import torch
import vl_convert
from benchmarks.pretrained.figures import short
from benchmarks.pretrained.models import MODELS, ROOT, corpus
from benchmarks.pretrained.records import Record, Records, paragraph

from otoscope.cli.content import as_json
from otoscope.corpora import load
from otoscope.files import write_bytes
from otoscope.report.specs import grid, to_spec
from otoscope.report.theme import CATEGORIES, CURVE_HEIGHT, CURVE_WIDTH
from otoscope.study import StudyConfig, StudyFolder
from otoscope.study.content import content, content_of_run
from otoscope.study.folder import read_json
from otoscope.study.runs import checkpoints_of, run_names

CHOSEN = ("whisper-tiny.en", "moonshine-base")
LABELS = ("log-mel", "phones", "words")
METHODS = ("probe", "cca-held-out")
UTTERANCES = 150
STUDY_FRAMES = 6_000

Row = dict[str, object]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.content", description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="*", choices=list(MODELS), default=list(CHOSEN))
    parser.add_argument("--utterances", type=int, default=UTTERANCES)
    parser.add_argument("--study", type=Path, help="a finished study on speech with alignments")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "results" / "content")
    parser.add_argument("--pages", action="store_true", help="write the pages from the records, run nothing")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    records = Records(asked.out, "benchmarks.content")
    wrong: list[str] = []
    if not asked.pages:
        for model in asked.models:
            with records.kept("profile", model) as record:
                record |= profile(model, asked.utterances)
            wrong += not_as_meant(model, record)
            write(records)
        if asked.study:
            with records.kept("training", "study") as record:
                record |= through_training(asked.study)
    write(records)
    for line in wrong:
        print(line, file=sys.stderr)
    return 1 if wrong else 0


def profile(model: str, utterances: int) -> Record:
    """Every label off every layer of one model's encoder."""
    found = content(MODELS[model].load(), corpus=corpus(), labels=LABELS, methods=METHODS, utterances=utterances)
    return as_json(found)


def not_as_meant(model: str, record: Record) -> list[str]:
    """What Pasad et al. found of speech encoders, and what is not so here."""
    wrong = []
    for label in ("phones", "words"):
        for method in METHODS:
            values = [row["value"] for row in rows_of(record, label, method)]
            if max(values) <= values[0]:
                wrong.append(f"{model}: {label} by {method} are nowhere told better than by the log-mel features")
    cca = [row["value"] for row in rows_of(record, "log-mel", "cca-held-out")][1:]
    if cca.index(max(cca)) > len(cca) / 2 or cca[-1] >= max(cca):
        wrong.append(f"{model}: CCA with the log-mel features is not highest early on")
    return wrong


def rows_of(record: Record, label: str, method: str) -> list[Record]:
    """From input to output."""
    return [row for row in record["content"] if row["label"] == label and row["method"] == method]


def through_training(folder: Path) -> Record:
    """Every checkpoint of the first seed of each recogniser, on the study's probe set."""
    config, place = StudyConfig.read(folder / "study.toml"), StudyFolder(folder)
    about = read_json(place.manifest)
    probe = set(about["corpus"]["probe"]["ids"])
    speech = [u for u in load(config.corpus, format=config.format, parts=config.parts) if u.id in probe]
    (store,) = (path for path in place.features.iterdir() if path.is_dir() and path.name.startswith("features-"))
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as kept:
        for run, (_, seed) in run_names(config).items():
            if seed == config.seeds[0]:
                found = content_of_run(
                    checkpoints_of(place, run),
                    store_path=store,
                    speech=speech,
                    folder=Path(kept),
                    labels=LABELS,
                    methods=METHODS,
                    frames=STUDY_FRAMES,
                )
                rows += [asdict(row) for row in found]
                print(run, flush=True)
    return {"rows": rows, "utterances": len(speech), "title": about["title"], "corpus": about["corpus"]["name"]}


def write(records: Records) -> None:
    """The page, its figures, its tables."""
    found = records.of("profile", list(MODELS))
    if not found:
        return
    text = """
    What Pasad, Chou and Livescu (2021, [arXiv 2107.04734](https://arxiv.org/abs/2107.04734)) read off the layers of
    wav2vec 2.0, read off two recognisers: how well each layer of the encoder tells the log-mel features, the phone at a
    frame's centre, and which of the most frequent words is spoken (the mean of its frames). Every number is of speakers
    that nothing was fitted to; [definitions](../../content.md). They measured projection-weighted CCA on the frames
    that it was fitted on; here CCA is held out, so that 0 is a layer that tells nothing. `input` are the log-mel
    features themselves: what a layer tells beyond them, the network has added.
    """
    lines = [*paragraph(text), "", *summary(found), "", "![What layers carry, by depth](profile.svg)", ""]
    for model, record in found.items():
        lines += [f"## {MODELS[model].what}", "", *tables(record), ""]
    draw_profile(records.folder / "profile.svg", found)
    if study := records.of("training", ["study"]):
        record = study["study"]
        lines += ["## Through training", "", *training_lines(record, records.folder), ""]
        found = {**found, **study}
    records.page("README", "What layers carry", found, lines[:-1])


def summary(found: dict[str, Record]) -> list[str]:
    """Where each label is told best."""
    lines = ["| recogniser | label | method | input | highest | last layer |", "|---|---|---|---|---|---|"]
    for model, record in found.items():
        for label in LABELS:
            for method in METHODS:
                rows = rows_of(record, label, method)
                best = max(rows[1:], key=lambda row: row["value"])
                name = dict(zip([r["layer"] for r in rows], short([r["layer"] for r in rows]), strict=True))[
                    best["layer"]
                ]
                lines.append(
                    f"| {MODELS[model].what} | {label} | {method} | {rows[0]['value']:.3f} | {cell(best)} at "
                    f"{name.removeprefix('model.encoder.')} | {cell(rows[-1])} |"
                )
    return lines


def tables(record: Record) -> list[str]:
    """Layers × labels and methods, and what they were read on."""
    first = {label: rows_of(record, label, METHODS[0])[0] for label in LABELS}
    counts = [f"{label} on {row['rows']:,} {row['unit']}s" for label, row in first.items()]
    classes = [f"{row['classes']} {label}" for label, row in first.items() if row["classes"]]
    chance = [f"{label} {row['chance']:.1%}" for label, row in first.items() if row["classes"]]
    text = f"""
    {record["utterances"]} utterances of {record["speakers"]} speakers: {", ".join(counts)}; {" and ".join(classes)}.
    Value [95 % interval], then what shuffled labels read. Always saying the most frequent class: {", ".join(chance)}.
    """
    columns = [(label, method) for label in LABELS for method in METHODS]
    lines = [*paragraph(text), "", f"| layer | {' | '.join(f'{a}, {b}' for a, b in columns)} |"]
    lines += ["|---" * (1 + len(columns)) + "|"]
    cells = {key: rows_of(record, *key) for key in columns}
    for i, row in enumerate(cells[columns[0]]):
        said = [f"{cell(cells[key][i])} {cells[key][i]['shuffled']:.3f}" for key in columns]
        lines.append(f"| {row['layer']} | {' | '.join(said)} |")
    return lines


def cell(row: Record) -> str:
    ends = f" [{row['low']:.3f}, {row['high']:.3f}]" if row["low"] is not None else ""
    return f"{row['value']:.3f}{ends}"


def draw_profile(path: Path, found: dict[str, Record]) -> None:
    """A chart for each label and method, a line for each model, with its interval."""
    models = list(found)
    charts = []
    for label in LABELS:
        for method in METHODS:
            rows = []
            for model, record in found.items():
                own = rows_of(record, label, method)
                rows += [{**r, "recogniser": model, "depth": i / (len(own) - 1)} for i, r in enumerate(own)]
            base = alt.Chart(alt.Data(values=rows)).encode(
                x=alt.X("depth:Q", title="depth (0 log-mel input, 1 last layer)", scale=alt.Scale(domain=[0, 1])),
                color=_colour("recogniser", models),
            )
            charts.append(_lines(base, f"{label}: {NAMES[method]}"))
    _save(path, charts)


NAMES = {"probe": "linear probe", "cca-held-out": "held-out CCA"}


def training_lines(record: Record, folder: Path) -> list[str]:
    """The first and last checkpoint of each run, and a figure of all between."""
    runs = list(dict.fromkeys(row["run"] for row in record["rows"]))
    text = f"""
    The study "{record["title"]}" on {record["corpus"]}, {record["utterances"]} utterances of its probe set, first
    seed of each recogniser: the last checkpoint, and in brackets before it the untrained one.
    """
    lines = paragraph(text)
    for run in runs:
        own = [row for row in record["rows"] if row["run"] == run]
        steps = sorted({row["step"] for row in own})
        layers = list(dict.fromkeys(row["layer"] for row in own))
        figure = f"training-{run.replace('/', '-')}.svg"
        draw_training(folder / figure, own, layers)
        lines += ["", f"### {run}", "", f"![{run}: content by layer and step]({figure})", ""]
        columns = [(label, method) for label in LABELS for method in METHODS]
        lines += [f"| layer | {' | '.join(f'{a}, {b}' for a, b in columns)} |", "|---" * (1 + len(columns)) + "|"]
        at = {(r["layer"], r["step"], r["label"], r["method"]): r for r in own}
        for layer in layers:
            last = steps[0] if layer == "input" else steps[-1]  # the input is read once a run
            said = [f"({at[layer, steps[0], *key]['value']:.3f}) {cell(at[layer, last, *key])}" for key in columns]
            lines.append(f"| {layer} | {' | '.join(said)} |")
    return lines


def draw_training(path: Path, rows: Sequence[Row], layers: Sequence[str]) -> None:
    """A chart for each label and method over steps, a line for each layer."""
    inner = [layer for layer in layers if layer != "input"]
    charts = []
    for label in LABELS:
        for method in METHODS:
            own = [r for r in rows if r["label"] == label and r["method"] == method and r["layer"] != "input"]
            base = alt.Chart(alt.Data(values=own)).encode(
                x=alt.X("step:Q", title="training step"), color=_colour("layer", inner)
            )
            charts.append(_lines(base, f"{label}: {NAMES[method]}"))
    _save(path, charts)


def _colour(field: str, names: Sequence[str]) -> alt.Color:
    palette = [CATEGORIES[i % len(CATEGORIES)] for i in range(len(names))]
    return alt.Color(f"{field}:N", sort=list(names), scale=alt.Scale(domain=list(names), range=palette))


def _lines(base: alt.Chart, title: str) -> object:
    value = alt.Y("value:Q", title=title, scale=alt.Scale(zero=True))
    layered = alt.LayerChart(
        layer=[
            base.mark_area(opacity=0.18).encode(y=alt.Y("low:Q", title=title), y2="high:Q"),
            base.mark_line(strokeWidth=2).encode(y=value),
            base.mark_point(size=22, filled=True, opacity=1).encode(y=value),
        ],
        width=round(1.2 * CURVE_WIDTH),
        height=round(1.1 * CURVE_HEIGHT),
    )
    return to_spec(layered)


def _save(path: Path, charts: Sequence[object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, vl_convert.vegalite_to_svg(grid(list(charts), columns=2)).encode())


if __name__ == "__main__":
    sys.exit(main())
