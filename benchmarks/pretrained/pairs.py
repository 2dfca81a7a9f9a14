"""Layers of one model against those of another, with best matches and the best path in order."""

from __future__ import annotations

from dataclasses import asdict

from benchmarks.pretrained.figures import heatmap
from benchmarks.pretrained.layers import MEASURE, heard_of, matrix_lines, plain, steps_of
from benchmarks.pretrained.models import MODELS
from benchmarks.pretrained.records import Record, Records, paragraph

from otoscope.study import match_layers, measure

ONE, OTHER = "whisper-tiny.en", "moonshine-base"
KEY = f"{ONE}-{OTHER}"


def run(_models: list[str], utterances: int | None, records: Records) -> list[str]:
    """Encoder × encoder by frames, decoder × decoder by words."""
    speech = heard_of(utterances)
    with records.kept("pairs", KEY) as record:
        one, other = (MODELS[name].load() for name in (ONE, OTHER))
        for part in ("encoder", "decoder"):
            found = measure(one, other, corpus=speech, measures=[MEASURE], decoder=part == "decoder", intervals=True)
            record[part] = plain(found) | {"matching": asdict(match_layers(found[MEASURE]))}
    write(records)
    return []


def write(records: Records) -> None:
    found = records.of("pairs", [KEY])
    text = f"""
    {MODELS[ONE].what} (rows) against {MODELS[OTHER].what} (columns), which differ in frame rate, width and alphabet:
    `{MEASURE}`, value [95 % interval]. Encoders are compared on the coarser of the two frame rates, decoders, whose
    tokens differ, word by word (the mean over a word's tokens), both fed the reference text. Dots in the figures are
    best matches.
    """
    lines = paragraph(text)
    for part in ("encoder", "decoder"):
        one, figure = found[KEY][part], f"pairs-{part}.svg"
        titles = (f"{part}s, {MEASURE}", f"{ONE} layer", f"{OTHER} layer")
        heatmap(records.folder / figure, one, titles=titles, mark_best=True)
        lines += ["", f"## {part.capitalize()}s", "", steps_of(one), "", f"![{titles[0]}]({figure})", ""]
        lines += [*matrix_lines(one, corner=f"{ONE} \\ {OTHER}"), "", *matching_lines(one["matching"])]
    records.page("pairs", "Two pretrained recognisers compared", found, lines)


def matching_lines(matching: Record) -> list[str]:
    return [
        f"Mean similarity along best matches {matching['best_mean']:.3f}, along the best path that keeps both models'"
        f" order {matching['path_mean']:.3f}.",
        "",
        f"| {ONE} | best match in {OTHER} | on the path in order |",
        "|---|---|---|",
        *(f"| {layer} | {best} | {matching['path'][layer]} |" for layer, best in matching["best"].items()),
    ]
