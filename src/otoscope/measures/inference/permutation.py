"""How a similarity compares with that of unrelated layers: p-values and null levels by permutation."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
import torch

from otoscope.errors import MeasureError
from otoscope.measures import registry
from otoscope.measures.checks import Array, Utterances
from otoscope.measures.moments import Moments
from otoscope.measures.registry import Measure
from otoscope.measures.result import Similarity
from otoscope.measures.samples import Samples

__all__ = ["Scheme", "permutation_test"]

Scheme = Literal["utterances", "shifts", "both"]

PERMUTATIONS = 199
FEWEST_ARRANGEMENTS = 20
FEWEST_IN_GROUP = 4
LEAST_KEPT = 0.5
WELL_KEPT = 0.8
ROUNDING = 1e-12

Rows = npt.NDArray[np.intp]


def permutation_test(
    views: Mapping[str, Array],
    measure: str | Measure,
    x: str,
    y: str,
    *,
    utterances: Utterances,
    scheme: Scheme = "utterances",
    permutations: int = PERMUTATIONS,
    group: int | None = None,
    seed: int = 0,
) -> Similarity:
    """A similarity with its p-value and its null level, from permutations of one layer's utterances.

    Formula: p = (1 + #{permuted value ≥ value}) / (1 + R) over R random permutations (≤ for distances); the null
    level is the mean of the permuted values. By `scheme`,

    - `"utterances"`: y's utterances are exchanged among those of similar length. Utterances are sorted by length,
      taken `group` at a time, and all of a group cut to its shortest at the end. What all utterances have in common
      over time (silence at both ends) stays and is part of the null level.
    - `"shifts"`: each utterance of y is turned in a circle by a random number of frames. What belongs to an utterance
      as a whole (speaker, channel) stays; what is tested is whether the layers agree in time.
    - `"both"`: exchanged, then turned.

    Use it for the null level of a measure that has none in closed form, or of any on frames that depend on each
    other, and to ask whether a small similarity is more than chance. Frames are never permuted one by one: that
    breaks their order and calls everything significant. A p-value says nothing of how large a similarity is: for that
    see `jackknife`. About one utterance in each group stays in place, as in every uniform permutation: the null level
    of related layers holds 1/`group` of what they share.

    Arguments:
        views: layer name to frames × units, all with the same frames; all but y stay as they are.
        measure: a registered measure, by name or itself.
        x: the first layer's name.
        y: the second layer's name, whose utterances are permuted.
        utterances: each frame's utterance index, or the list of lengths. Speakers where a speaker has several.
        scheme: what is permuted.
        permutations: R; the least p-value is 1/(1 + R).
        group: about how many utterances of neighbouring length are exchanged with each other; where not given, as
            many as leave 80 % of the frames uncut.
        seed: of the draws; the same seed gives the same p-value.

    Returns:
        The similarity of all frames, with `p_value` and `null`. The p-value compares the same cut frames in and out of
        order.

    Raises:
        MeasureError: fewer than 20 ways to arrange the utterances; groups whose cut loses more than half of the frames;
            permutations below 19; data that the measure refuses.

    Source: Phipson & Smyth 2010 (the 1 + in p).

    >>> import torch
    >>> g = torch.Generator().manual_seed(0)
    >>> views = {name: torch.randn(600, 4, generator=g) for name in ("a", "b")}
    >>> views["c"] = views["a"] + 3 * views["b"]
    >>> tested = [permutation_test(views, "cka", "a", y, utterances=[60] * 10, permutations=39) for y in ("b", "c")]
    >>> [t.p_value < 0.05 for t in tested], abs(tested[1].null) < 0.05
    ([False, True], True)
    """
    chosen = measure if isinstance(measure, Measure) else registry.get(measure)
    if scheme not in get_args(Scheme):
        raise MeasureError(f"no scheme '{scheme}'; there are {', '.join(get_args(Scheme))}")
    if permutations < FEWEST_ARRANGEMENTS - 1 or (group is not None and group < 2):
        raise MeasureError(
            f"permutations is {permutations} and group is {group}; expected at least {FEWEST_ARRANGEMENTS - 1} "
            "permutations, for a p-value of 0.05, among groups of at least 2 utterances"
        )
    samples = Samples.of(views, utterances=utterances)
    for name in (x, y):
        samples.view(name)
    lengths = np.array(samples.lengths)
    groups = _groups(lengths, group) if scheme != "shifts" else [np.array([u]) for u in range(len(lengths))]
    _check_arrangements(lengths, groups, scheme)
    inside = _cut(samples, lengths, groups)
    observed = _compute(chosen, inside, x, y).value
    orders = _orders(np.array(inside.lengths), groups, scheme, permutations, seed)
    values = np.array([_compute(chosen, _reordered(inside, y, order), x, y).value for order in orders])
    sign = -1 if chosen.distance else 1
    # An arrangement that happens to be the one observed must count as no less, whatever the order of its sums.
    extreme = int((sign * values >= sign * observed - ROUNDING * max(1.0, abs(observed))).sum())
    result = _compute(chosen, samples, x, y)
    return replace(result, p_value=(1 + extreme) / (1 + permutations), null=float(values.mean()))


def _groups(lengths: Rows, group: int | None) -> list[Rows]:
    """Utterances of neighbouring length, in groups of about equal size."""
    order, most = np.argsort(lengths, kind="stable"), max(1, len(lengths) // FEWEST_IN_GROUP)
    counts = range(1, most + 1) if group is None else [max(1, round(len(lengths) / group))]
    for count in counts:
        groups = [np.sort(part) for part in np.array_split(order, count)]
        if _kept(lengths, groups) >= WELL_KEPT * lengths.sum():
            break
    return groups


def _kept(lengths: Rows, groups: Sequence[Rows]) -> int:
    """The frames that are left when all of a group are cut to its shortest."""
    return sum(len(g) * int(lengths[g].min()) for g in groups)


def _check_arrangements(lengths: Rows, groups: Sequence[Rows], scheme: Scheme) -> None:
    """Refuse speech that can be arranged in so few ways that no p-value can be small."""
    exchanges = sum(math.lgamma(len(g) + 1) for g in groups) if scheme != "shifts" else 0.0
    turns = float(np.log(lengths).sum()) if scheme != "utterances" else 0.0
    if exchanges + turns < math.log(FEWEST_ARRANGEMENTS) - ROUNDING:
        raise MeasureError(
            f"{len(lengths)} utterances can be arranged in {math.exp(exchanges + turns):.0f} ways by the scheme "
            f"'{scheme}', too few for a p-value: at least {FEWEST_ARRANGEMENTS} are needed. Give more utterances, or "
            "larger groups"
        )
    kept = _kept(lengths, groups)
    if kept < LEAST_KEPT * lengths.sum():
        raise MeasureError(
            f"exchanging utterances of {lengths.min()} to {lengths.max()} frames in groups of up to "
            f"{max(map(len, groups))} leaves {kept} of {lengths.sum()} frames, since all of a group are cut to its "
            "shortest; give a smaller `group`, utterances of more equal length, or scheme='shifts'"
        )


def _cut(samples: Samples, lengths: Rows, groups: Sequence[Rows]) -> Samples:
    """The frames that can be exchanged: every utterance cut to the shortest of its group."""
    cut = lengths.copy()
    for group in groups:
        cut[group] = lengths[group].min()
    starts = np.cumsum(lengths) - lengths
    rows = np.concatenate([np.arange(start, start + n) for start, n in zip(starts, cut, strict=True)])
    index = torch.from_numpy(rows)
    return Samples({name: v[index.to(v.device)] for name, v in samples.views.items()}, tuple(cut.tolist()))


def _orders(lengths: Rows, groups: Sequence[Rows], scheme: Scheme, permutations: int, seed: int) -> Iterator[Rows]:
    """For each permutation, the frame of y that stands at each frame's place."""
    random, starts = np.random.default_rng(seed), np.cumsum(lengths) - lengths
    for _ in range(permutations):
        partner = np.arange(len(lengths))
        if scheme != "shifts":
            for group in groups:
                partner[group] = random.permutation(group)
        turn = random.integers(0, lengths) if scheme != "utterances" else np.zeros_like(lengths)
        yield np.concatenate(
            [starts[partner[u]] + (np.arange(n) + turn[u]) % n for u, n in enumerate(lengths.tolist())]
        )


def _reordered(samples: Samples, name: str, order: Rows) -> Samples:
    view = samples.views[name]
    return Samples({**samples.views, name: view[torch.from_numpy(order).to(view.device)]}, samples.lengths)


def _compute(measure: Measure, samples: Samples, x: str, y: str) -> Similarity:
    if measure.source == "samples":
        return measure.compute(samples, x, y)
    # An index for each frame, since lengths of one frame each could be taken for one.
    index = np.repeat(np.arange(samples.utterances or 0), samples.lengths or ())
    return measure.compute(Moments.of(samples.views, utterances=index, mergeable=False), x, y)
