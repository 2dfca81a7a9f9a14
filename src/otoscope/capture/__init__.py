"""From a running recogniser to per-layer frames: hooks, frame grids, padding, and reduction while streaming."""

from otoscope.capture.frames import to_frames
from otoscope.capture.gathering import Clusters, Gathered, gather, spread_evenly
from otoscope.capture.grid import common_grid, to_grid
from otoscope.capture.hooks import Captured, capture, select
from otoscope.capture.recogniser import TorchRecogniser
from otoscope.capture.streaming import INPUT, SHUFFLED, reduce, view_name, views_of
from otoscope.capture.tokens import TokenGrid, to_tokens, to_words
from otoscope.capture.types import (
    SAMPLE_RATE_HZ,
    Batch,
    Decodes,
    Fed,
    Finds,
    Layer,
    Prunes,
    Recogniser,
    Seconds,
    Speech,
    Tokenises,
    Transcribes,
)

__all__ = [
    "INPUT",
    "SAMPLE_RATE_HZ",
    "SHUFFLED",
    "Batch",
    "Captured",
    "Clusters",
    "Decodes",
    "Fed",
    "Finds",
    "Gathered",
    "Layer",
    "Prunes",
    "Recogniser",
    "Seconds",
    "Speech",
    "TokenGrid",
    "Tokenises",
    "TorchRecogniser",
    "Transcribes",
    "capture",
    "common_grid",
    "gather",
    "reduce",
    "select",
    "spread_evenly",
    "to_frames",
    "to_grid",
    "to_tokens",
    "to_words",
    "view_name",
    "views_of",
]
