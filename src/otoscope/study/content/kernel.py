"""Linear CKA of a layer with a label."""

from __future__ import annotations

import math

from torch import Tensor

from otoscope.errors import MeasureError
from otoscope.measures.inference import BlockMoments, jackknife
from otoscope.measures.registry import get
from otoscope.study.content.score import Score
from otoscope.study.content.target import Target
from otoscope.study.needs import LEVEL

__all__ = ["kernel"]


def kernel(x: Tensor, target: Target, *, measure: str = "cka") -> Score:
    """`otoscope.cka` of a layer with a label: classes as one direction each, numbers as they are.

    Use it for how much of a layer's variance goes with the label; CCA and probes say whether the label can be read off
    at all, from however weak a direction. Nothing is fitted, so nothing is held out.

    Arguments:
        x: (n, units), the layer's rows that have a label.
        target: their values and blocks.
        measure: "cka", the cross-utterance estimator, or "cka-debiased", which reads above 0 on unrelated layers where
            neighbouring rows are alike.

    Returns:
        CKA, 0 for a layer that says nothing.

    Raises:
        MeasureError: a layer that does not vary.

    Source: Kornblith et al. 2019; the estimators as in `otoscope.cka`.
    """
    views = {"layer": x, target.label.name: target.numbers()}
    held = BlockMoments.of(views, utterances=target.utterances.numpy(), clusters=target.groups.numpy())
    try:
        found = jackknife(held, measure, *views, level=LEVEL)
    except MeasureError as error:
        value = get(measure).compute(held.total, *views).value
        return Score(value, math.nan, math.nan, note=f"no interval: {error}")
    assert found.low is not None
    assert found.high is not None
    return Score(found.value, found.low, found.high)
