"""What can be captured of a recogniser, found out by running it."""

from otoscope.capture.discovery.discovering import choose_layers, discover
from otoscope.capture.discovery.found import Discovery
from otoscope.capture.discovery.inferring import infer_layers
from otoscope.capture.discovery.rows import Row

__all__ = ["Discovery", "Row", "choose_layers", "discover", "infer_layers"]
