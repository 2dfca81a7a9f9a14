"""Similarity of layers, from arrays of frames × units or from mergeable moments."""

from otoscope.measures import registry
from otoscope.measures.accumulator import Accumulator
from otoscope.measures.cca import cca
from otoscope.measures.cka import cka
from otoscope.measures.moments import Moments
from otoscope.measures.pwcca import pwcca
from otoscope.measures.registry import Measure, get, names, register
from otoscope.measures.result import Similarity
from otoscope.measures.samples import Samples
from otoscope.measures.svcca import svcca

__all__ = [
    "Accumulator",
    "Measure",
    "Moments",
    "Samples",
    "Similarity",
    "cca",
    "cka",
    "get",
    "names",
    "pwcca",
    "register",
    "registry",
    "svcca",
]
