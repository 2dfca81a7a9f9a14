"""Cross-validation by utterance: the moments of each fold, and of all other folds together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from operator import add

import torch

from otoscope.errors import MeasureError
from otoscope.measures.checks import Array, Utterances, check_values, check_views, group_utterances
from otoscope.measures.moments import Moments, Pair

__all__ = ["Folds"]


@dataclass(frozen=True, slots=True, eq=False)
class Folds:
    """Moments of disjoint folds of the speech, each beside the moments of all speech outside it.

    Use it for what is fitted on some utterances and scored on others. A pass over speech adds each utterance to the
    moments of one fold; `between` turns these into folds, and no second pass is needed.

    Attributes:
        held: each fold's moments.
        trained: for each fold, those of all other folds together.
        utterances: how many utterances (or speakers) were dealt, `None` where moments do not say.

    >>> import torch
    >>> x = torch.randn(60, 4, generator=torch.Generator().manual_seed(0))
    >>> folds = Folds.of({"a": x, "b": x.tanh()}, utterances=[20, 15, 10, 15], folds=3)
    >>> [m.frames for m in folds.held], [m.frames for m in folds.trained]
    ([20, 25, 15], [40, 35, 45])
    """

    held: tuple[Moments, ...] = field(repr=False)
    trained: tuple[Moments, ...] = field(repr=False)
    utterances: int | None

    @classmethod
    def of(
        cls,
        views: Mapping[str, Array],
        *,
        utterances: Utterances,
        folds: int = 5,
        pairs: Sequence[Pair] | None = None,
    ) -> Folds:
        """The folds of whole layers; utterances are dealt, longest first, each to the fold of fewest frames.

        Arguments:
            views: layer name to frames × units, all with the same frames.
            utterances: each frame's utterance index, in any order, or the list of lengths. Frames of one index never
                part, so give speakers for folds of speakers.
            folds: how many folds, at least 2; one for each utterance where these are fewer.
            pairs: as for `Moments.zero`.
        """
        if folds != int(folds) or folds < 2:
            raise MeasureError(f"folds is {folds}; expected a whole number of at least 2, such as 5")
        frames = check_views(views)
        order, lengths = group_utterances(utterances, frames)
        if len(lengths) < 2:
            raise MeasureError(
                f"cross-validation leaves whole utterances out and needs at least 2, got {len(lengths)}; give more "
                "utterances, or a measure that is not held out"
            )
        check_values(views)
        rows = torch.arange(frames) if order is None else torch.from_numpy(order)
        parts = torch.split(rows, lengths)
        kept = [
            torch.cat([parts[u] for u in members]).numpy() for members in _deal(lengths, min(int(folds), len(lengths)))
        ]
        made = cls.between([Moments.of({name: x[part] for name, x in views.items()}, pairs=pairs) for part in kept])
        return replace(made, utterances=len(lengths))

    @classmethod
    def between(cls, parts: Sequence[Moments]) -> Folds:
        """The folds whose moments these are: the same layers and pairs over disjoint utterances (or speakers)."""
        held = tuple(part for part in parts if part.frames)
        if len(held) < 2:
            raise MeasureError(f"cross-validation needs at least 2 folds with frames, got {len(held)} of {len(parts)}")
        total = reduce(add, held)
        return cls(held, tuple(total - part for part in held), total.utterances)

    @property
    def frames(self) -> int:
        """The number of frames of all folds."""
        return sum(part.frames for part in self.held)


def _deal(lengths: Sequence[int], folds: int) -> list[list[int]]:
    """The utterances of each fold: as many frames in one as in another, as far as whole utterances allow."""
    members: list[list[int]] = [[] for _ in range(folds)]
    frames = [0] * folds
    for u in sorted(range(len(lengths)), key=lambda u: -lengths[u]):
        lightest = frames.index(min(frames))
        members[lightest].append(u)
        frames[lightest] += lengths[u]
    return [sorted(m) for m in members]
