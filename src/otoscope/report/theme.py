"""Colours, sizes and axes that every figure shares."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

__all__ = [
    "CATEGORIES",
    "CONFIG",
    "CURVE_HEIGHT",
    "CURVE_WIDTH",
    "MATRIX_SIDE",
    "MISSING",
    "MUTED",
    "SEQUENCE",
    "colour_scale",
    "distance_scale",
    "step_ticks",
    "time_unit",
]

MATRIX_SIDE = 264
"""Side of a heatmap, in pixels."""

CURVE_WIDTH, CURVE_HEIGHT = 226, 190
"""Plotting area of a curve, in pixels."""

# Okabe and Ito's palette, told apart with every common colour vision.
CATEGORIES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#6a51a3", "#7a7a7a")

# Viridis: even in lightness, readable in grey and with every common colour vision.
SEQUENCE = (
    "#440154",
    "#472d7b",
    "#3b528b",
    "#2c728e",
    "#21918c",
    "#28ae80",
    "#5ec962",
    "#addc30",
    "#fde725",
)
BELOW_ZERO = "#d9a0a8"
MISSING = "#c9c9c9"

INK, MUTED, RULE = "#1b1d21", "#5c6370", "#e2e4e8"
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', 'DejaVu Sans', Arial, sans-serif"

_TEXT: dict[str, Any] = {"labelColor": MUTED, "titleColor": INK, "labelFontSize": 10, "titleFontSize": 11}
CONFIG: dict[str, Any] = {
    "font": FONT,
    "background": "transparent",
    "view": {"stroke": None},
    "scale": {"invalid": {"color": {"value": MISSING}}},
    "axis": {
        **_TEXT,
        "titleFontWeight": "normal",
        "domainColor": MUTED,
        "tickColor": MUTED,
        "gridColor": RULE,
        "tickSize": 4,
        "titlePadding": 8,
    },
    "legend": {**_TEXT, "titleFontWeight": "normal", "symbolStrokeWidth": 2},
    "title": {"color": INK, "fontSize": 12, "fontWeight": 600, "anchor": "start", "subtitleColor": MUTED},
    "header": {**_TEXT, "titleFontWeight": "normal"},
}


def colour_scale(lowest: float) -> tuple[list[float], list[str]]:
    """Domain and range of the heatmaps' colours: fixed from 0 to 1, and on to `lowest` where values go below 0.

    Values just below 0 are an unbiased estimator's noise and keep the colour of 0.
    """
    domain = [k / (len(SEQUENCE) - 1) for k in range(len(SEQUENCE))]
    if lowest > -0.05:
        return domain, list(SEQUENCE)
    return [math.floor(lowest * 10) / 10, -0.01, *domain], [BELOW_ZERO, SEQUENCE[0], *SEQUENCE]


def distance_scale(limit: float) -> tuple[list[float], list[str]]:
    """Domain and range of the colours of a distance: 0 in the colour of a similarity of 1, `limit` in that of 0."""
    return [limit * k / (len(SEQUENCE) - 1) for k in range(len(SEQUENCE))], list(reversed(SEQUENCE))


def step_ticks(steps: Iterable[int]) -> tuple[int, list[int]]:
    """The symmetric logarithm's constant and the ticks for an axis of training steps, which starts at 0.

    The constant is the first step after 0, so that 0 stands as far from it as a step twice as late does.

    >>> step_ticks([0, 50, 100, 2000])
    (50, [0, 100, 1000])
    """
    positive = sorted(step for step in set(steps) if step > 0)
    if not positive:
        return 1, [0]
    first, last = positive[0], positive[-1]
    low, high = math.floor(math.log10(first)), math.ceil(math.log10(last))
    decades = [10**k for k in range(low, high + 1)]
    ticks = [t for t in decades if first <= t <= last]
    if len(ticks) < 2:
        ticks = [t for d in decades for t in (d, 2 * d, 5 * d) if first <= t <= last] or positive
    return first, [0, *ticks]


def time_unit(seconds: float) -> tuple[float, str]:
    """Seconds per unit and the unit's name, for an axis that reaches this far.

    >>> time_unit(900.0)
    (60.0, 'min')
    """
    if seconds < 180:
        return 1.0, "s"
    return (60.0, "min") if seconds < 4 * 3600 else (3600.0, "h")
