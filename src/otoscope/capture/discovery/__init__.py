"""What can be captured of a recogniser, found out by running it."""

from otoscope.capture.discovery.inferring import infer_layers

__all__ = ["infer_layers"]
