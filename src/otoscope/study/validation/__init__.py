"""Whether a study's folder is whole."""

from otoscope.study.validation.fault import Fault
from otoscope.study.validation.validating import validate

__all__ = ["Fault", "validate"]
