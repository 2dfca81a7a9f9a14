"""Advice about recognisers, each piece checked on the spot against the word error rate."""

from otoscope.advice.prune import Pruned, Pruning, advise_prune

__all__ = ["Pruned", "Pruning", "advise_prune"]
