"""The weight of the language model and the word bonus, chosen on dev speech by a grid."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product

from torch import Tensor

from otoscope.asr.decoding.beam import BeamSearch
from otoscope.asr.scoring import score

__all__ = ["Trial", "Tuning", "tune"]


@dataclass(frozen=True, slots=True)
class Trial:
    """One point of the grid with its error rates on dev, as fractions."""

    lm_weight: float
    word_bonus: float
    wer: float
    cer: float


@dataclass(frozen=True)
class Tuning:
    """Every trial in the order of the grid, and a search with the weights of the best."""

    trials: tuple[Trial, ...]
    best: Trial
    search: BeamSearch


def tune(
    search: BeamSearch,
    outputs: Iterable[tuple[Tensor, Tensor]],
    references: Sequence[str],
    *,
    lm_weights: Sequence[float] = (0.0, 0.25, 0.5, 0.75, 1.0),
    word_bonuses: Sequence[float] = (0.0, 1.0, 2.0, 3.0, 4.0),
) -> Tuning:
    """Tries every pair of weights on dev speech. Never give it the test set: its error rate would mean nothing.

    Args:
        search: any `BeamSearch`; its own weights do not matter.
        outputs: the recogniser's batches on dev: log-probabilities (batch, frames, tokens) and lengths (batch,).
        references: the dev transcripts, in the order of the utterances.
        lm_weights: weights of the language model.
        word_bonuses: nats for each word; only 0 for a search without a lexicon.

    Returns:
        All trials, and the one of the lowest WER: of several, that of the lowest CER, then of the smallest weights.

    Raises:
        CorpusError: not as many references as utterances.
        StudyError: a weight that cannot be.

    >>> import torch
    >>> from otoscope.asr import CharacterTokens
    >>> heard = torch.tensor([[[0.1, 0.4, 0.5], [0.9, 0.05, 0.05]]]).log()
    >>> search = BeamSearch.of_text(CharacterTokens(("A", "B")), ["A", "A", "A", "B"], order=2)
    >>> tune(search, [(heard, torch.tensor([2]))], ["A"], lm_weights=[0, 1], word_bonuses=[0]).best.lm_weight
    1.0
    """
    batches = list(outputs)
    trials, searches = [], []
    for weight, bonus in product(lm_weights, word_bonuses):
        trial_search = search.weighted(lm_weight=weight, word_bonus=bonus)
        texts = [text for log_probs, lengths in batches for text in trial_search.decode(log_probs, lengths)]
        rates = score(references, texts)
        trials.append(Trial(float(weight), float(bonus), rates.wer, rates.cer))
        searches.append(trial_search)
    best = min(range(len(trials)), key=lambda i: (trials[i].wer, trials[i].cer, abs(trials[i].lm_weight), i))
    return Tuning(tuple(trials), trials[best], searches[best])
