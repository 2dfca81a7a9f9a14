"""N-gram language models in backoff form: probabilities of words or tokens, and perplexity."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from otoscope.errors import TrainingError

__all__ = ["END", "START", "UNKNOWN", "Ngram", "NgramModel"]

START, END, UNKNOWN = "<s>", "</s>", "<unk>"

Ngram = tuple[str, ...]


@dataclass(frozen=True)
class NgramModel:
    """log p(w | h) = log_probs[h w] where h w is listed, else backoffs[h] (0 where not listed) + log p(w | h′).

    h is the `order` − 1 units before w and h′ is h without its first one. The units are words, characters or pieces:
    whatever it was trained on. `<s>` and `</s>` stand at the ends of a sentence, `<unk>` for any unit not listed.
    Logarithms are natural.

    Made by `kneser_ney` or `read_arpa`, written by `write_arpa`.

    >>> from otoscope.asr.decoding import kneser_ney
    >>> model = kneser_ney([["GO", "HOME"], ["GO", "ON"]], order=2)
    >>> round(sum(math.exp(model.log_prob(word, ["GO"])) for word in model.vocabulary), 9)
    1.0
    """

    log_probs: Mapping[Ngram, float]
    backoffs: Mapping[Ngram, float]

    def __post_init__(self) -> None:
        if (END,) not in self.log_probs:
            raise TrainingError(f"an n-gram model lists the unigram {END}; this one of {len(self.log_probs)} does not")

    @cached_property
    def order(self) -> int:
        """The length of its longest n-grams."""
        return max(map(len, self.log_probs))

    @cached_property
    def vocabulary(self) -> tuple[str, ...]:
        """Everything that can follow a history, `</s>` and `<unk>` among it."""
        return tuple(sorted(n[0] for n in self.log_probs if len(n) == 1 and n[0] != START))

    def log_prob(self, unit: str, history: Sequence[str] = ()) -> float:
        """log p(unit | history), in nats; the history begins with `<s>` where it reaches back to the start."""
        recent = history[max(0, len(history) - self.order + 1) :]
        known = [u if (u,) in self.log_probs else UNKNOWN for u in (*recent, unit)]
        weight = 0.0
        for first in range(len(known)):
            ngram = tuple(known[first:])
            if ngram in self.log_probs:
                return weight + self.log_probs[ngram]
            weight += self.backoffs.get(ngram[:-1], 0.0)
        return -math.inf  # a model without <unk> rules out what it does not list

    def sentence_log_prob(self, sentence: Sequence[str]) -> float:
        """The log-probability of a whole sentence with its end, in nats."""
        padded = (START, *sentence, END)
        return sum(self.log_prob(padded[i], padded[max(0, i - self.order + 1) : i]) for i in range(1, len(padded)))

    def perplexity(self, sentences: Iterable[Sequence[str]]) -> float:
        """exp(−log-probability / number of units), the ends of sentences among them; unknown units as `<unk>`.

        Raises TrainingError where there are no sentences.

        >>> from otoscope.asr.decoding import kneser_ney
        >>> kneser_ney([["A", "B"]] * 9, order=2).perplexity([["A", "B"]]) < 1.5
        True
        """
        total, units = 0.0, 0
        for sentence in split_sentences(sentences):
            total += self.sentence_log_prob(sentence)
            units += len(sentence) + 1
        return math.exp(-total / units)


def split_sentences(sentences: Iterable[Sequence[str]]) -> list[Sequence[str]]:
    """The sentences as a list, checked: each one a sequence of units, none of them a reserved one."""
    checked = list(sentences)
    if not checked:
        raise TrainingError("a language model is trained and tested on sentences: got none, expected at least one")
    for sentence in checked:
        if isinstance(sentence, str) or {START, END, UNKNOWN}.intersection(sentence):
            raise TrainingError(
                f"the sentence {sentence!r} is not a list of units. Expected words (text.split()) or the symbols of "
                f"tokens, without {START}, {END} and {UNKNOWN}, which stand for themselves"
            )
    return checked
