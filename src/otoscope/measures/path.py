"""The cheaper way to what the measures need, by cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from otoscope.measures import registry
from otoscope.measures.accumulator import MOST_FRAMES, Accumulator
from otoscope.measures.blocks import Pair
from otoscope.measures.checks import Array, Utterances, by_utterance, check_views
from otoscope.measures.chunk import TILE
from otoscope.measures.coordinates import Coordinates
from otoscope.measures.gram import BLOCK, gram_moments
from otoscope.measures.moments import Moments

__all__ = ["Path", "choose", "moments_for"]

REDUCTION = 2.5  # a multiply-add in layers × layers products of tiles costs this many of a wide product's


@dataclass(frozen=True, slots=True)
class Path:
    """How the sums of all pairs will be made.

    Attributes:
        name: "covariance" (X̃ᵀỸ of every pair, one pass, any amount of speech) or "gram" (X̃X̃ᵀ of every layer, by tiles).
        multiply_adds: about how many it takes.
        bytes: what it holds beside the frames, at most.
        reason: why this one, in words.
    """

    name: Literal["covariance", "gram"]
    multiply_adds: float
    bytes: int
    reason: str


def choose(frames: int, widths: Mapping[str, int], pairs: Sequence[Pair], measures: Sequence[str]) -> Path:
    """The cheaper path for these measures of these pairs, of arrays of so many frames.

    Formula: covariances take n Σ_pairs p q multiply-adds and 8 Σ_pairs p q bytes; Gram matrices n² (Σp + L²)/2, the L²
    at a lower rate, and a few tiles. Gram matrices serve the linear estimators of CKA only, and need all frames at
    hand: speech that streams goes by covariances.

    >>> widths = {f"layer{i}": 768 for i in range(24)}
    >>> pairs = [(x, y) for x in widths for y in widths if x <= y]
    >>> choose(10_000, widths, pairs, ["cka"]).name, choose(10_000, widths, pairs, ["cka", "cca"]).name
    ('gram', 'covariance')
    >>> choose(100_000, widths, pairs, ["cka"]).name
    'covariance'
    """
    both = {frozenset(pair): pair for pair in [*pairs, *((name, name) for name in widths)]}
    numbers = sum(widths[x] * widths[y] for x, y in both.values())
    turning = frames * sum(p * p for p in widths.values())
    total, layers = sum(widths.values()), len(widths)
    covariance = Path("covariance", frames * numbers + turning, 8 * numbers + 4 * min(frames, MOST_FRAMES) * total, "")
    others = sorted(name for name in measures if not registry.get(name).inner)
    if others:
        return _because(covariance, f"{others[0]} needs the covariances")
    tiles = 4 * (layers * TILE**2 + 2 * BLOCK * total)
    gram = Path("gram", frames**2 * (total + REDUCTION * layers**2) / 2, tiles, "")
    ratio = covariance.multiply_adds / gram.multiply_adds
    if ratio > 1:
        return _because(gram, f"{ratio:.1f} × fewer multiply-adds than covariances: {frames} frames of {total} units")
    return _because(
        covariance, f"{1 / ratio:.1f} × fewer multiply-adds than Gram matrices: {frames} frames of {total} units"
    )


def moments_for(
    measures: Sequence[str], views: Mapping[str, Array], *, utterances: Utterances | None, pairs: Sequence[Pair]
) -> Moments:
    """The moments of whole layers that these measures need of these pairs, by the cheaper path; not mergeable.

    Arguments:
        measures: the names of measures that follow from moments.
        views: layer name to frames × units, all with the same frames.
        utterances: each frame's utterance index, in any order, or the list of lengths; `None`: not kept apart.
        pairs: the pairs to be measured.
    """
    frames, widths = check_views(views), {name: x.shape[1] for name, x in views.items()}
    if choose(frames, widths, pairs, measures).name == "gram":
        return gram_moments(views, utterances=utterances, pairs=pairs)
    if not all(registry.get(name).inner for name in measures):
        return Moments.of(views, utterances=utterances, pairs=pairs, mergeable=False)
    views, lengths = by_utterance(views, utterances)
    total = Accumulator(
        widths,
        pairs=pairs,
        utterances=lengths is not None,
        mergeable=False,
        coordinates=Coordinates.means(views),
        turned=False,
    )
    total.update(views, lengths)
    return total.take()


def _because(path: Path, reason: str) -> Path:
    return Path(path.name, path.multiply_adds, path.bytes, reason)
