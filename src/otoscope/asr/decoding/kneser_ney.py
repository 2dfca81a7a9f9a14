"""Interpolated modified Kneser-Ney: an n-gram model from a training text (Chen & Goodman 1998)."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from otoscope.asr.decoding.ngram import END, START, UNKNOWN, Ngram, NgramModel, split_sentences
from otoscope.asr.settings import expect, is_number, is_whole

__all__ = ["Discounts", "kneser_ney"]

Discounts = tuple[float, float, float]
"""What is taken off n-grams counted once, twice, and three times or more."""

FALLBACK: Discounts = (0.5, 1.0, 1.5)
"""Discounts where the counts of counts do not give any, as in toy texts: KenLM's `--discount_fallback`."""


def kneser_ney(
    sentences: Iterable[Sequence[str]], *, order: int = 3, discounts: Sequence[Discounts] | None = None
) -> NgramModel:
    """An n-gram model of a text: interpolated modified Kneser-Ney.

    p(w | h) = max(c(h w) − D(c), 0) / Σ_v c(h v) + γ(h) p(w | h′), where γ(h) gives out what the discounts D took, and
    h′ is h without its first unit. At the highest order, and for n-grams that begin a sentence, c counts occurrences;
    below, it counts the different units before the n-gram. Unigrams are interpolated with the uniform distribution
    over all units, `</s>` and `<unk>`, so nothing has probability 0. D comes from the counts of counts n₁…n₄ of each
    order: Dₖ = k − (k + 1) Y nₖ₊₁ / nₖ, Y = n₁ / (n₁ + 2 n₂).

    Args:
        sentences: lists of units: words (`text.split()`), or symbols of tokens.
        order: the length of the longest n-grams, 1 to 5.
        discounts: (D₁, D₂, D₃₊) of each order, unigrams first; None: from the counts of counts, and
            (0.5, 1, 1.5) where these do not give any.

    Returns:
        The model. Nothing is pruned.

    Raises:
        StudyError: an order or discounts that cannot be.
        TrainingError: no sentences, or sentences that are not lists of units.

    Source: Chen & Goodman, An Empirical Study of Smoothing Techniques for Language Modeling, TR-10-98, 1998.

    >>> model = kneser_ney([text.split() for text in ("ENTER SIX TWO", "ENTER SIX", "RUBOUT TWO")], order=3)
    >>> model.log_prob("SIX", ["ENTER"]) > model.log_prob("TWO", ["ENTER"])
    True
    """
    expect(is_whole(order, 1) and order <= 5, "order", order, "a whole number of 1 to 5")
    if discounts is not None:
        usable = len(discounts) == order and all(
            len(d) == 3 and all(is_number(x) and 0 <= x <= k for k, x in enumerate(d, 1)) for d in discounts
        )
        expect(usable, "discounts", discounts, f"{order} triples (D1, D2, D3), each Dk from 0 to k")
    counts = adjusted_counts(split_sentences(sentences), order)
    uniform = 1 / (len(counts[0]) + 1)  # counts[0] has </s> but neither <s> nor <unk>: + 1 is <unk>
    probs: dict[Ngram, float] = {(UNKNOWN,): 0.0, **dict.fromkeys(counts[0], 0.0)}
    backoffs: dict[Ngram, float] = {}
    for n, table in enumerate(counts, 1):
        d = discounts[n - 1] if discounts is not None else estimate_discounts(table)
        totals: dict[Ngram, int] = defaultdict(int)
        taken: dict[Ngram, float] = defaultdict(float)
        for ngram, count in table.items():
            totals[ngram[:-1]] += count
            taken[ngram[:-1]] += min(d[min(count, 3) - 1], count)
        gamma = {history: taken[history] / total for history, total in totals.items()}
        for ngram in table if n > 1 else list(probs):
            count = table.get(ngram, 0)
            kept = count - min(d[min(count, 3) - 1], count) if count else 0.0
            lower = probs[ngram[1:]] if n > 1 else uniform
            probs[ngram] = kept / totals[ngram[:-1]] + gamma[ngram[:-1]] * lower
        if n > 1:
            backoffs.update(gamma)
    log_probs = {ngram: _log(p) for ngram, p in probs.items()}
    log_probs[START,] = -math.inf  # never predicted; listed, since histories begin with it
    return NgramModel(log_probs, {history: _log(gamma) for history, gamma in backoffs.items()})


def adjusted_counts(sentences: Sequence[Sequence[str]], order: int) -> list[dict[Ngram, int]]:
    """Kneser-Ney's counts of every n-gram, one table an order: occurrences, or different units before it."""
    tables: list[dict[Ngram, int]] = []
    occurrences = [Counter[Ngram]() for _ in range(order)]
    for sentence in sentences:
        padded = (START, *sentence, END)
        for n, counter in enumerate(occurrences, 1):
            counter.update(padded[i : i + n] for i in range(len(padded) - n + 1))
    del occurrences[0][START,]
    for n, counter in enumerate(occurrences, 1):
        if n == order:
            tables.append(dict(counter))
            continue
        before = Counter(longer[1:] for longer in occurrences[n])
        tables.append({g: c if g[0] == START else before[g] for g, c in counter.items()})
    return tables


def estimate_discounts(table: dict[Ngram, int]) -> Discounts:
    """The discounts of one order by its counts of counts; `FALLBACK` where one of these is 0 or too odd."""
    n = Counter(table.values())
    if any(n[k] == 0 for k in (1, 2, 3)):
        return FALLBACK
    y = n[1] / (n[1] + 2 * n[2])
    found = tuple(k - (k + 1) * y * n[k + 1] / n[k] for k in (1, 2, 3))
    return (found[0], found[1], found[2]) if all(0 <= x <= k for k, x in enumerate(found, 1)) else FALLBACK


def _log(p: float) -> float:
    return math.log(p) if p > 0 else -math.inf
