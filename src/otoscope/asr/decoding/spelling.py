"""A language model of words for a search over pieces: what flashlight's own lexicon search cannot do.

That search takes the end of a word from a token of its own. Where a piece ends a word it lets no frame repeat that
piece, as CTC does all the time. The search without a lexicon has no such fault, so here its language model is one that
spells: it knows at each piece which words can go on, and asks the n-gram when a word is over.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from otoscope.asr.decoding.base import flashlight
from otoscope.asr.tokens import Tokens
from otoscope.asr.tokens.pieces import WORD_START

__all__ = ["IMPOSSIBLE", "spelling_model"]

IMPOSSIBLE = -1e4
"""Stands for log 0: sums of it stay finite."""


@dataclass
class _Node:
    """A place in the tree of spellings: the word that is whole here, and the best unigram of those still to come."""

    word: int | None = None
    best: float = -1e9
    children: dict[int, _Node] = field(default_factory=dict)


def spelling_model(
    tokens: Tokens, spellings: Sequence[Sequence[int]], model: Any, *, weight: float, bonus: float
) -> Any:
    """A flashlight language model of tokens that allows the words spelt so, and weighs them by a model of words.

    Args:
        tokens: pieces, of which those that begin a word say so.
        spellings: the tokens of each word; the word's index is what `model` knows it by.
        model: a flashlight language model of words.
        weight: what its scores are multiplied by.
        bonus: what each word adds.

    Returns:
        The model. Its scores are weighed already. Keep a reference: flashlight's decoder does not.
    """
    starts = [tokens.symbol(i).startswith(WORD_START) for i in range(len(tokens))]
    nothing_before = model.start(True)
    root = _Node(best=0.0)
    for word, spelling in enumerate(spellings):
        unigram = model.score(nothing_before, word)[1]
        node = root
        for token in spelling:
            node = node.children.setdefault(token, _Node())
            node.best = max(node.best, unigram)
        node.word = word
    nowhere = _Node(best=0.0)

    class Spelling(flashlight("decoder").LM):  # type: ignore[misc]
        """Each state: the place in the word being spelt, and the word model's state before that word."""

        def start(self, start_with_nothing: bool) -> Any:
            state = flashlight("decoder").LMState()
            self.places = {state: (root, model.start(start_with_nothing))}
            self.known: dict[Any, float] = {}
            return state

        def score(self, state: Any, token: int) -> tuple[Any, float]:
            after = state.child(token)
            if after not in self.known:
                node, words = self.places[state]
                score = 0.0
                if token < len(starts) and starts[token] and node is not root:
                    words, score = self.whole(node, words)
                    node = root
                following = node.children.get(token)
                if following is None or score <= IMPOSSIBLE:
                    self.places[after], self.known[after] = (nowhere, words), IMPOSSIBLE
                else:
                    # The best word that it can become stands in until it is known which, as flashlight's trie does.
                    self.places[after] = (following, words)
                    self.known[after] = score + weight * (following.best - node.best)
            return after, self.known[after]

        def whole(self, node: _Node, words: Any) -> tuple[Any, float]:
            """The word model's state after the word spelt so far, and what the word adds."""
            if node.word is None:
                return words, IMPOSSIBLE
            words, score = model.score(words, node.word)
            return words, weight * (score - node.best) + bonus

        def finish(self, state: Any) -> tuple[Any, float]:
            node, words = self.places[state]
            score = 0.0
            if node is not root:
                words, score = self.whole(node, words)
            return state.child(-1), score + weight * model.finish(words)[1]

    return Spelling()
