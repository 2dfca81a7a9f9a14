"""F9: similarities against word error rates: over checkpoints, over runs, over blocks of speech."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean
from typing import Any

import altair as alt

from otoscope.report.pictures.picture import Picture, Scene
from otoscope.report.specs import Spec, to_spec, with_rows
from otoscope.report.theme import CATEGORIES, CURVE_HEIGHT, CURVE_WIDTH
from otoscope.study.findings.error_rate_by_speech import agreement_of_blocks, errors_of_blocks

__all__ = ["scatters"]

SHAPES = ("circle", "square", "triangle-up", "diamond", "triangle-down", "cross", "triangle-left", "triangle-right")


def scatters(scene: Scene) -> list[Picture]:
    """Up to three charts: a dot a checkpoint, a dot a run, a dot a block of speech."""
    asked = {f.id for f in scene.chapter.told}
    # By what the dots are, which is how the questions of this chapter end.
    drawn = (
        ("checkpoints", _checkpoints(scene), "a dot a checkpoint before the final one", "mean {what} to final state"),
        ("runs", _runs(scene), "a dot a run, in its final state", "mean {what} of neighbouring layers"),
        ("speech", _blocks(scene), "a dot a block of speech, first two seeds", "{what} of two seeds, layer by layer"),
    )
    what = "similarity" if scene.limit is None else "distance"
    pictures = []
    for name, rows, note, x in drawn:
        if not rows or f"{scene.chapter.number}-{name}" not in asked:
            continue
        title = f"Over {'blocks of speech' if name == 'speech' else name}"
        wer = [row["wer"] for row in rows]
        described = (
            f"{title}: dev word error rate, {min(wer):.1%} to {max(wer):.1%}, against {x.format(what=what)} by "
            f"{scene.measure}; {len(rows)} dots, {note}."
        )
        if name == "speech":
            described = described.replace("dev word", "word")
        y = "word error rate" if name == "speech" else "dev word error rate"
        spec = _spec(scene, rows, x.format(what=what), y)
        pictures.append(Picture(f"wer-{name}", title, note, described, spec))
    return pictures


def _checkpoints(scene: Scene) -> list[dict[str, Any]]:
    rows = []
    for run, about in scene.payload["runs"].items():
        table = scene.payload["to_final"].get(run, {}).get(scene.measure)
        for k, step in enumerate(about["steps"][:-1] if table else []):
            near = [line[k] for line in table[0] if line[k] is not None]
            if near and about["dev_wer"][k] is not None:
                rows.append(_row(scene, run, fmean(near), about["dev_wer"][k], f"step {step:,}"))
    return rows


def _runs(scene: Scene) -> list[dict[str, Any]]:
    rows = []
    for run, about in scene.payload["runs"].items():
        table = scene.payload["within"].get(run, {}).get(str(about["steps"][-1]), {}).get(scene.measure)
        values = table[0] if table else []
        neighbours = [values[i][i + 1] for i in range(len(values) - 1) if values[i][i + 1] is not None]
        if neighbours and about["dev_wer"][-1] is not None:
            rows.append(_row(scene, run, fmean(neighbours), about["dev_wer"][-1], "final state"))
    return rows


def _blocks(scene: Scene) -> list[dict[str, Any]]:
    """Of the first two runs of each recogniser that the chapter has an effect of."""
    rows = []
    for _, runs in scene.recognisers():
        if len(runs) < 2 or not _compared(scene, runs[:2]):
            continue
        pair = (runs[0], runs[1])
        agreement = agreement_of_blocks(scene.results, pair, scene.measure).tolist()
        errors = errors_of_blocks(scene.results, pair, scene.measure).tolist()
        for block, (x, y) in enumerate(zip(agreement, errors, strict=True)):
            if math.isfinite(x) and math.isfinite(y):
                rows.append(_row(scene, runs[0], x, y, f"block {block}"))
    return rows


def _compared(scene: Scene, runs: Sequence[str]) -> bool:
    known = any({pair["x"], pair["y"]} == set(runs) and "final" in pair for pair in scene.payload["across"])
    return known and scene.results.blocks > 0


def _row(scene: Scene, run: str, x: float, wer: float, at: str) -> dict[str, Any]:
    recogniser = scene.payload["runs"][run]["recogniser"]
    return {"recogniser": recogniser, "run": run, "at": at, "x": round(x, 4), "wer": wer}


def _spec(scene: Scene, rows: list[dict[str, Any]], x: str, y: str) -> Spec:
    names = [r["name"] for r in scene.payload["recognisers"]]
    colours = alt.Scale(domain=names, range=[CATEGORIES[k % 8] for k in range(len(names))])
    shapes = alt.Scale(domain=names, range=[SHAPES[k % 8] for k in range(len(names))])
    key = alt.Legend(title="recogniser", symbolFillColor="transparent")
    dots = (
        alt.Chart(alt.NamedData("rows"))
        .mark_point(size=34, strokeWidth=1.4)
        .encode(
            x=alt.X("x:Q", title=x, scale=alt.Scale(zero=False), axis=alt.Axis(tickCount=5)),
            y=alt.Y("wer:Q", title=y, scale=alt.Scale(zero=False), axis=alt.Axis(format=".0%", tickCount=6)),
            color=alt.Color("recogniser:N", scale=colours, legend=key),
            shape=alt.Shape("recogniser:N", scale=shapes, legend=key),
            tooltip=["run:N", "at:N", alt.Tooltip("x:Q", title=x, format=".3f"), alt.Tooltip("wer:Q", format=".1%")],
        )
    )
    return with_rows(to_spec(alt.LayerChart(layer=[dots], width=CURVE_WIDTH, height=CURVE_HEIGHT)), rows)
