"""F10: every finding by every way to it, and which ways lead to the same side."""

from __future__ import annotations

import math
from typing import Any

import altair as alt

from otoscope.report.pictures.picture import Picture, Scene
from otoscope.report.specs import Spec, to_spec, with_rows
from otoscope.report.text import plain
from otoscope.report.theme import MISSING

__all__ = ["agreement"]

OWN, SAME, OTHER, NONE = "the finding", "same side", "other side", "no answer"
FILLS = {OWN: "#dfe3ea", SAME: "#a9d6c5", OTHER: "#f2b48f", NONE: MISSING}
SIGNS = {OWN: "", SAME: "= ", OTHER: "≠ ", NONE: "–"}
CELL = (58, 19)


def agreement(scene: Scene) -> list[Picture]:
    """One chart: a row a finding, a column a way to it, the effect in each cell and whether its side is the same."""
    rows = _rows(scene)
    if not rows:
        return []
    ways = len({row["way"] for row in rows}) - 1
    other = [row for row in rows if row["side"] == OTHER]
    named = "; ".join(f"{row['finding']} by {row['way']}" for row in other[:12])
    more = f", and {len(other) - 12} more" if len(other) > 12 else ""
    described = (
        f"Effects of {len({row['finding'] for row in rows})} findings by {ways} other ways. On the other side of what "
        f"counts: {named or 'none'}{more}."
    )
    note = (
        f"effect by each way; {SIGNS[SAME]}same side of what counts, {SIGNS[OTHER]}other side, {SIGNS[NONE]} no answer"
    )
    return [Picture("agreement", "Each finding by every way to it", note, described, _spec(rows), wide=True)]


def _rows(scene: Scene) -> list[dict[str, Any]]:
    least = scene.least
    rows: list[dict[str, Any]] = []
    for question in scene.chapter.questions:
        of_question = question.id.partition("-")[2]
        for finding in question.told:
            effects = list(finding.details.items())
            if not effects or of_question not in least:
                continue
            own = effects[0][1] > least[of_question]
            for k, (way, effect) in enumerate(effects):
                known = math.isfinite(effect)
                side = OWN if k == 0 else NONE if not known else SAME if (effect > least[of_question]) == own else OTHER
                text = SIGNS[side] + (plain(effect) if known else "")
                row = {"finding": f"{of_question} {finding.of}", "way": way, "side": side, "text": text}
                rows.append({**row, "least": least[of_question]})
    return rows


def _spec(rows: list[dict[str, Any]]) -> Spec:
    ways, findings = (list(dict.fromkeys(row[name] for row in rows)) for name in ("way", "finding"))
    above = alt.Axis(orient="top", labelAngle=-35, labelLimit=140, ticks=False, domain=False, grid=False)
    beside = alt.Axis(labelLimit=240, ticks=False, domain=False, grid=False)
    base = alt.Chart(alt.NamedData("rows")).encode(
        x=alt.X("way:N", sort=ways, title=None, axis=above),
        y=alt.Y("finding:N", sort=findings, title=None, axis=beside),
    )
    colours = alt.Scale(domain=list(FILLS), range=list(FILLS.values()))
    told = ["finding:N", "way:N", alt.Tooltip("text:N", title="effect"), "side:N", "least:Q"]
    cells = base.mark_rect(stroke="white", strokeWidth=1).encode(
        color=alt.Color("side:N", scale=colours, legend=None), tooltip=told
    )
    text = base.mark_text(fontSize=10, color="#1b1d21", tooltip=None).encode(text="text:N")
    chart = alt.LayerChart(layer=[cells, text], width=CELL[0] * len(ways), height=CELL[1] * len(findings))
    return with_rows(to_spec(chart), rows)
