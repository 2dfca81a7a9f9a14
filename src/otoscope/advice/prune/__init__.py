"""Which blocks of an encoder are redundant, and what leaving them out costs in word errors."""

from otoscope.advice.prune.pruning import advise_prune
from otoscope.advice.prune.result import Pruned, Pruning

__all__ = ["Pruned", "Pruning", "advise_prune"]
