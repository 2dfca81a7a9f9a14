"""Vega-Lite specifications as plain JSON: made once by Altair, then filled by the figures and by the page's script."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import altair as alt

from otoscope.report.theme import CONFIG

__all__ = ["Spec", "grid", "to_spec", "with_rows"]

Spec = dict[str, Any]


def to_spec(chart: alt.LayerChart | alt.VConcatChart) -> Spec:
    """A chart's specification without the configuration, which the page or the figure sets once for all."""
    spec: Spec = chart.to_dict()
    spec.pop("config", None)
    return spec


def with_rows(spec: Spec, rows: Sequence[dict[str, Any]], title: str | list[str] = "") -> Spec:
    """A copy of a specification without data, filled with records and titled."""
    return {**copy.deepcopy(spec), "data": {"values": list(rows)}, "title": title}


def grid(charts: Sequence[Spec], *, columns: int) -> Spec:
    """Charts side by side as one figure of its own, on white, each with scales of its own."""
    parts = [{k: v for k, v in chart.items() if not k.startswith("$")} for chart in charts]
    return {
        "$schema": charts[0]["$schema"],
        "concat": parts,
        "columns": columns,
        "spacing": 24,
        "resolve": {"scale": {"color": "independent", "x": "independent", "y": "independent"}},
        "config": CONFIG,
        "background": "white",
    }
