"""From a running recogniser to per-layer frames: hooks, frame grids, padding, and reduction while streaming."""

from otoscope.capture.frames import common_grid, pool, to_frames, to_grid
from otoscope.capture.hooks import Captured, capture, select
from otoscope.capture.streaming import SHUFFLED, reduce, view_name, views_of
from otoscope.capture.types import Layer, Recogniser

__all__ = [
    "SHUFFLED",
    "Captured",
    "Layer",
    "Recogniser",
    "capture",
    "common_grid",
    "pool",
    "reduce",
    "select",
    "to_frames",
    "to_grid",
    "view_name",
    "views_of",
]
