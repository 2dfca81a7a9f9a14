"""From a running recogniser to per-layer frames: hooks, frame grids, padding, and reduction while streaming."""

from otoscope.capture.frames import common_grid, pool, to_frames, to_grid
from otoscope.capture.gathering import Clusters, Gathered, gather, spread_evenly
from otoscope.capture.hooks import Captured, capture, select
from otoscope.capture.streaming import INPUT, SHUFFLED, reduce, view_name, views_of
from otoscope.capture.types import Layer, Recogniser, Seconds

__all__ = [
    "INPUT",
    "SHUFFLED",
    "Captured",
    "Clusters",
    "Gathered",
    "Layer",
    "Recogniser",
    "Seconds",
    "capture",
    "common_grid",
    "gather",
    "pool",
    "reduce",
    "select",
    "spread_evenly",
    "to_frames",
    "to_grid",
    "view_name",
    "views_of",
]
