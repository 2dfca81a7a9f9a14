"""What each layer carries: curves over depth for each label, and depth × training."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import altair as alt

from otoscope.capture import INPUT
from otoscope.report.payload import Payload
from otoscope.report.pictures import Picture
from otoscope.report.pictures.picture import first_runs
from otoscope.report.specs import Spec, to_spec, with_rows
from otoscope.report.text import plain
from otoscope.report.theme import CATEGORIES, CURVE_HEIGHT, CURVE_WIDTH, MATRIX_SIDE, SEQUENCE

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ContentSection", "content_section"]

READS = {"probe": "accuracy, or R² of numbers", "cca-held-out": "held-out canonical correlation", "cka": "CKA"}
"""What the values of a method are."""

DASHES = {"untrained": [5, 3], "chance": [1, 2], "shuffled": [2, 2, 6, 2]}
"""Of the baselines' lines."""

Row = dict[str, Any]


@dataclass(frozen=True)
class ContentSection:
    """Pictures of depth by label and method, and of depth × training by label."""

    profiles: Sequence[Picture]
    training: Sequence[tuple[str, Sequence[Picture]]]
    notes: Sequence[str]

    @property
    def drawn(self) -> list[Picture]:
        """Every chart."""
        return [*self.profiles, *(picture for _, several in self.training for picture in several)]


def content_section(content: pd.DataFrame, payload: Payload) -> ContentSection | None:
    """What the page shows of the content of layers; None where a study did not ask for it."""
    records: list[Any] = content.to_dict("records")
    rows = [_placed(row, payload) for row in records if row["run"] in payload["runs"]]
    if not rows:
        return None
    asked = list(dict.fromkeys((row["label"], row["method"]) for row in rows))
    profiles = [_profile(label, method, _of(rows, label, method), payload) for label, method in asked]
    first = dict(reversed(asked))  # the first method of each label
    labels = dict.fromkeys(label for label, _ in asked)
    training = [
        (f"{label}, {first[label]}", _heatmaps(label, _of(rows, label, first[label]), payload)) for label in labels
    ]
    notes = dict.fromkeys(f"{row['run']}, {row['layer']}, {row['label']}: {row['note']}" for row in rows if row["note"])
    return ContentSection(profiles, [part for part in training if part[1]], list(notes))


def _placed(row: Row, payload: Payload) -> Row:
    """The row with its layer's depth (the input is at 0) and short name."""
    about = payload["runs"][row["run"]]
    numbers = {name: _number(row[name]) for name in ("value", "low", "high", "chance", "shuffled", "untrained")}
    if row["layer"] == INPUT or row["layer"] not in about["layers"]:
        depth, short = (0 if row["layer"] == INPUT else len(about["layers"]) + 1), row["layer"]
    else:
        depth = about["layers"].index(row["layer"]) + 1
        short = about["labels"][depth - 1]
    return {**row, **numbers, "recogniser": about["recogniser"], "depth": depth, "short": short}


def _number(value: float) -> float | None:
    return round(value, 4) if math.isfinite(value) else None


def _of(rows: Sequence[Row], label: str, method: str) -> list[Row]:
    return [row for row in rows if (row["label"], row["method"]) == (label, method)]


def _final(rows: Sequence[Row], payload: Payload) -> list[Row]:
    """Of each run's last checkpoint, and of the input, which is read once."""
    last = {run: about["steps"][-1] for run, about in payload["runs"].items()}
    return [row for row in rows if row["depth"] == 0 or row["step"] == last[row["run"]]]


def _profile(label: str, method: str, rows: list[Row], payload: Payload) -> Picture:
    final = _final(rows, payload)
    kept = ("run", "recogniser", "depth", "short", "value", "low", "high")
    shown = [{name: row[name] for name in kept} | {"baseline": ""} for row in final if row["value"] is not None]
    shown += list(_baselines(final))
    described = f"{label} read off each layer by {method}, in final states. " + " ".join(_said(final))
    spec = _profile_spec(shown, payload, READS.get(method, method))
    return Picture(f"content-{label}-{method}", label, f"by {method}", described, {**spec, "description": described})


def _said(rows: Sequence[Row]) -> Iterator[str]:
    """Where each run carries most of it."""
    for run in dict.fromkeys(row["run"] for row in rows):
        known = [row for row in rows if row["run"] == run and row["value"] is not None]
        if known:
            best = max(known, key=lambda row: row["value"])
            yield f"{run}: most, {plain(best['value'])}, at {best['short']}."


def _baselines(rows: Sequence[Row]) -> Iterator[Row]:
    """Baselines as lines of their own, the mean over the runs of a recogniser."""
    for name in DASHES:
        of: dict[tuple[str, int, str], list[float]] = {}
        for row in rows:
            if row[name] is not None:
                of.setdefault((row["recogniser"], row["depth"], row["short"]), []).append(row[name])
        for (recogniser, depth, short), values in of.items():
            about = {"run": f"{recogniser}, {name}", "recogniser": recogniser, "depth": depth, "short": short}
            yield {**about, "baseline": name, "value": round(sum(values) / len(values), 4)}


def _profile_spec(rows: list[Row], payload: Payload, reads: str) -> Spec:
    names = [r["name"] for r in payload["recognisers"]]
    scale = alt.Scale(domain=names, range=[CATEGORIES[k % 8] for k in range(len(names))])
    colour = alt.Color(
        "recogniser:N", scale=scale, legend=alt.Legend(title="recogniser", symbolType="stroke", symbolOpacity=1)
    )
    dash = alt.StrokeDash(
        "baseline:N",
        scale=alt.Scale(domain=list(DASHES), range=list(DASHES.values())),
        legend=alt.Legend(title="baseline", symbolType="stroke"),
    )
    deepest = max((row["depth"] for row in rows), default=1)
    ticks = alt.Axis(values=list(range(deepest + 1)), labelExpr="datum.value === 0 ? 'in' : datum.value", grid=False)
    x = alt.X("depth:Q", title="layer in depth (in: the features)", axis=ticks)
    y = alt.Y("value:Q", title=reads, scale=alt.Scale(zero=True))
    base = alt.Chart(alt.NamedData("rows")).encode(x=x, color=colour, detail="run:N")
    own, other = base.transform_filter("!datum.baseline"), base.transform_filter("datum.baseline")
    interval = "isValid(datum.low) ? format(datum.low, '.3f') + ' to ' + format(datum.high, '.3f') : 'none'"
    told = alt.ExprRef(
        "{'run': datum.run, 'layer': datum.short, 'value': format(datum.value, '.3f'), '95 % interval': "
        + interval
        + "}"
    )
    band = own.transform_filter("isValid(datum.low)").mark_area(opacity=0.13, line=False)
    layers = [
        band.encode(y=alt.Y("low:Q", title=reads), y2="high:Q"),
        other.mark_line(strokeWidth=1.1, opacity=0.75).encode(y=y, strokeDash=dash),
        own.mark_line(strokeWidth=1.6).encode(y=y),
        own.mark_point(filled=True, size=18, opacity=1, tooltip=told).encode(y=y),
    ]
    return with_rows(to_spec(alt.LayerChart(layer=layers, width=CURVE_WIDTH, height=CURVE_HEIGHT)), rows)


def _heatmaps(label: str, rows: list[Row], payload: Payload) -> list[Picture]:
    """One a recogniser, of its first seed, where there are several checkpoints; all of a label share their colours."""
    shown = {str(about["runs"][0]): about for about in payload["recognisers"]}
    of_layers = [row for row in rows if row["depth"] and row["value"] is not None and row["run"] in shown]
    values = [row["value"] for row in of_layers]
    pictures, empty = [], _heatmap_spec(min(values, default=0.0), max(values, default=1.0))
    for run, about in shown.items():
        cells = [row for row in of_layers if row["run"] == run]
        steps = sorted({row["step"] for row in cells})
        if len(steps) < 2:
            continue
        kept = [{name: row[name] for name in ("step", "short", "depth", "value", "low", "high")} for row in cells]
        best = max(cells, key=lambda row: row["value"])
        described = (
            f"{label} read off each layer of {run} at {len(steps)} checkpoints: most, {plain(best['value'])}, off "
            f"{best['short']} at step {best['step']:,}."
        )
        layers = len({cell["depth"] for cell in cells})
        size = {
            "width": len(steps) * max(10, round(MATRIX_SIDE / len(steps))),
            "height": layers * round(0.75 * MATRIX_SIDE / layers),
        }
        spec = {**with_rows(empty, kept), **size, "description": described}
        pictures.append(
            Picture(f"content-training-{label}-{run}", about["name"], first_runs(about["runs"]), described, spec)
        )
    return pictures


def _heatmap_spec(low: float, high: float) -> Spec:
    x = alt.X("step:O", title="training step", axis=alt.Axis(labelAngle=-60, ticks=False, domain=False))
    deepest_first = alt.EncodingSortField("depth", op="min", order="descending")
    y = alt.Y("short:N", title="layer", sort=deepest_first, axis=alt.Axis(labelLimit=80, ticks=False, domain=False))
    scale = alt.Scale(domain=[low, high if high > low else low + 1], range=list(SEQUENCE), interpolate="lab")
    colour = alt.Color("value:Q", scale=scale, legend=alt.Legend(title=None, format=".2f"))
    numbers = [alt.Tooltip(f"{name}:Q", format=".3f") for name in ("value", "low", "high")]
    told = [alt.Tooltip("short:N", title="layer"), "step:Q", *numbers]
    cells = alt.Chart(alt.NamedData("rows")).mark_rect().encode(x=x, y=y, tooltip=told, color=colour)
    return to_spec(alt.LayerChart(layer=[cells]))
