"""Advice about recognisers, each piece checked on the spot against what it promises."""

from otoscope.advice.layer import LayerAdvice, LayerChoice, advise_layer
from otoscope.advice.prune import Pruned, Pruning, advise_prune

__all__ = ["LayerAdvice", "LayerChoice", "Pruned", "Pruning", "advise_layer", "advise_prune"]
