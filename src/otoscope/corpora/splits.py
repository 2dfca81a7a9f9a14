"""Splits where a corpus brings none, drawn by speaker so that no voice is on both sides."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

from otoscope.corpora.manifest import Corpus, Utterance
from otoscope.errors import CorpusError

__all__ = ["draw_splits", "with_dev", "with_test"]


def with_dev(corpus: Corpus, *, seed: int = 0, share: float = 0.08) -> Corpus:
    """Give a corpus a dev split, drawn from train by speaker, where it has none; test is untouched.

    Use it before training on a corpus such as AN4, which comes with train and test only. Speakers are taken in an
    order fixed by `seed` alone, until the share is reached, so that adding a speaker moves few others. With a single
    speaker, utterances are drawn instead.

    Args:
        corpus: with a train split of two utterances or more.
        seed: fixes the draw.
        share: of train's seconds that goes to dev, at least one speaker.

    Returns:
        The same utterances in the same order, some of train's now in dev; the corpus itself where it has dev.

    Raises:
        CorpusError: train is too small to give anything away.

    Example:
        >>> from pathlib import Path
        >>> train = tuple(Utterance(f"u{k}", f"s{k % 5}", Path("a"), 1.0, "A", "train") for k in range(50))
        >>> sorted(with_dev(Corpus("demo", train)).splits)
        ['dev', 'train']
    """
    return _draw(corpus, "dev", seed=seed, share=share)


def with_test(corpus: Corpus, *, seed: int = 0, share: float = 0.1) -> Corpus:
    """Give a corpus a test split, drawn from train by speaker, where it has none; as `with_dev` does for dev.

    Example:
        >>> from pathlib import Path
        >>> train = tuple(Utterance(f"u{k}", f"s{k % 5}", Path("a"), 1.0, "A", "train") for k in range(50))
        >>> sorted(with_test(Corpus("demo", train)).splits)
        ['test', 'train']
    """
    return _draw(corpus, "test", seed=seed, share=share)


def draw_splits(corpus: Corpus, *, seed: int = 0) -> Corpus:
    """Draw test and dev from a corpus that is all train; one with fewer than three utterances stays as it is.

    Example:
        >>> from pathlib import Path
        >>> train = tuple(Utterance(f"u{k}", f"s{k % 5}", Path("a"), 1.0, "A", "train") for k in range(50))
        >>> sorted(draw_splits(Corpus("demo", train)).splits)
        ['dev', 'test', 'train']
    """
    if len(corpus.split("train")) < 3:
        return corpus
    return with_dev(with_test(corpus, seed=seed), seed=seed)


def _draw(corpus: Corpus, name: str, *, seed: int, share: float) -> Corpus:
    if name in corpus.splits:
        return corpus
    if not 0 < share < 1:
        raise CorpusError(f"share={share} of train cannot go to {name!r}; give a number between 0 and 1.")
    train = corpus.split("train").utterances
    by_speaker = len({u.speaker for u in train}) > 1
    groups: dict[str, float] = {}
    for u in train:
        group = u.speaker if by_speaker else u.id
        groups[group] = groups.get(group, 0.0) + _weight(u)
    if len(groups) < 2:
        raise CorpusError(
            f"The corpus {corpus.name!r} has no {name!r} split, and its train split of {len(train)} utterances "
            f"cannot be divided. Give it a {name!r} split, or more speech."
        )
    taken = _take(groups, share * sum(groups.values()), seed=seed)
    return corpus.keep(
        [
            replace(u, split=name) if u.split == "train" and (u.speaker if by_speaker else u.id) in taken else u
            for u in corpus
        ]
    )


def _weight(u: Utterance) -> float:
    return u.duration or 1.0  # an unknown duration still counts


def _take(groups: dict[str, float], goal: float, *, seed: int) -> set[str]:
    """Groups in hashed order until the goal is met, at least one and never all."""
    order: Sequence[str] = sorted(groups, key=lambda g: hashlib.sha256(f"{seed}:{g}".encode()).digest())
    taken: set[str] = set()
    total = 0.0
    for group in order[:-1]:
        if taken and total + groups[group] / 2 > goal:  # stop where one more would overshoot by more than it closes
            break
        taken.add(group)
        total += groups[group]
    return taken
