"""Any ONNX graph, and onnxruntime's own `.ort` files, as a recogniser to be looked into."""

from otoscope.adapters.onnx.ctc import ctc_text
from otoscope.adapters.onnx.ort_format import every_node, initialisers, read_ort
from otoscope.adapters.onnx.recogniser import OnnxRecogniser, load_onnx

__all__ = ["OnnxRecogniser", "ctc_text", "every_node", "initialisers", "load_onnx", "read_ort"]
