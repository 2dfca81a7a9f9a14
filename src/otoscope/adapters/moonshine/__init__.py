"""Moonshine as its own packages ship it: graphs for onnxruntime."""

from otoscope.adapters.moonshine.loading import Moonshine, load_moonshine, moonshine_from_ort

__all__ = ["Moonshine", "load_moonshine", "moonshine_from_ort"]
