"""F9: speech on which runs agree less is recognised worse."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import xarray as xr

from otoscope.study.findings.evidence import Entry, Evidence, Runs, Seen, Values
from otoscope.study.findings.question import Question, TooLittle
from otoscope.study.findings.ranks import rank_correlation
from otoscope.study.results import Results

__all__ = ["ERRORS_AND_AGREEMENT", "OverBlocks", "agreement_of_blocks", "blocks_that_count", "errors_of_blocks"]

Floats = npt.NDArray[np.float64]

FEWEST_BLOCKS = 10

LEAST = 0.4
"""Less than of other correlations: the noise of what is told of short blocks takes all of them nearer to 0."""


def agreement_of_blocks(results: Results, runs: Runs, measure: str) -> Floats:
    """(blocks,): how alike two runs are on each block of speech, mean over layers at the same depth.

    A similarity is of all speech; what a block has to do with it is the jackknife's pseudovalue (Tukey 1958)
    s + (h − 1)(s − s₍b₎), s₍b₎ without the block and h all speech over the block's. Of a mean over blocks it is the
    block's own value; of a correlation it is so up to the block's share of the variance, and it is not bounded by 1.
    h is counted in words. NaN where no blocks were left out, and for blocks without words.
    """
    if not results.blocks:
        return np.array(np.nan)
    whole = _same_depth(results, runs, measure)
    left = np.array([_same_depth(results.without(block), runs, measure) for block in range(results.blocks)])
    _, words = _counts(results, runs)
    with np.errstate(divide="ignore", invalid="ignore"):
        others = np.where(words > 0, words.sum() / words - 1, np.nan)
    found: Floats = whole + others * (whole - left)
    return found


def errors_of_blocks(results: Results, runs: Runs, measure: str) -> Floats:
    """(blocks,): the word error rate of two runs together on each block of speech; NaN where it has no words."""
    if not results.blocks:
        return np.array(np.nan)
    errors, words = _counts(results, runs)
    with np.errstate(divide="ignore", invalid="ignore"):
        rates: Floats = np.where(words > 0, errors / words, np.nan)
    return rates


def blocks_that_count(results: Results, runs: Runs, measure: str) -> Floats:
    """(blocks,): how much each block of speech counts, which is all alike."""
    return np.ones(results.blocks) if results.blocks else np.array(np.nan)


def _same_depth(results: Results, runs: Runs, measure: str) -> float:
    return float(np.diagonal(results.across(runs[0], runs[1], measure)).mean())


def _counts(results: Results, runs: Runs) -> tuple[Floats, Floats]:
    """Word errors and words of each block, of both runs together."""
    errors, words = np.zeros(results.blocks), np.zeros(results.blocks)
    for run in runs:
        rows: xr.Dataset = results.utterances(run)
        block = rows["block"].values
        known = (block >= 0) & (block < results.blocks)
        np.add.at(errors, block[known], rows["errors"].values[known])
        np.add.at(words, block[known], rows["words"].values[known])
    return errors, words


def less_and_worse(pairs: Sequence[Seen]) -> float:
    """How the agreement of two runs on a block of speech goes with its words right, mean over pairs of runs.

    Formula: −ρ(a_b, e_b) over blocks b, ρ the rank correlation, weighed by how much each block counts; a_b the
    agreement of `agreement_of_blocks`, e_b the two runs' word error rate on the block. Which speech was heard is the
    chance in it, not only what similarities of all speech would be on other speech: so its interval over speech is a
    Bayesian bootstrap over blocks (Rubin 1981). Each of the draws gives every block a weight of its own, exponentially
    distributed, the same for all pairs, in the ranks as in their correlation.

    Pseudovalues are noisy, and noise takes any relation nearer to 0: an effect below what counts may be a relation
    that short blocks hide. Speech that is hard may be so for reasons that change agreement by themselves (noise,
    length, a speaker unlike those of the training): this is a relation, no cause.

    Source: the question is that of confidence from disagreement, as in Lakshminarayanan et al. 2017, put to layers.
    """
    return float(np.mean([_less_and_worse(pair) for pair in pairs]))


def _less_and_worse(pair: Seen) -> float:
    agreement, wer, weights = pair["agreement"], pair["wer"], _exponential(pair["weights"])
    told = np.isfinite(agreement) & np.isfinite(wer)
    return -rank_correlation(agreement[told], wer[told], weights[told])


def _exponential(weights: Floats) -> Floats:
    """Weights of the same quantiles, exponentially distributed instead of normal about 1; all alike where all are 1.

    The core moves weights by √((B − 1)/B)(z̄ − z_b), which has variance ((B − 1)/B)².
    """
    u = (weights - 1) * len(weights) / (len(weights) - 1)
    return np.array([-math.log(math.erfc(x / math.sqrt(2)) / 2) for x in u])


class OverBlocks(Question):
    """A question about single blocks of speech: its chance lies in which blocks there are."""

    def prepared(self, evidence: Evidence) -> Evidence:
        """With `weights`, 0 of the block that is left out and 1 of all others."""
        return [_counted(entry) for entry in evidence]


def _counted(entry: Entry) -> Entry:
    blocks = entry.values["weights"].value.size
    weights = Values(np.ones(blocks), 1 - np.eye(blocks))
    return replace(entry, values={**entry.values, "weights": weights})


def _too_little(pair: Seen) -> str:
    agreement, wer = pair["agreement"], pair["wer"]
    if not agreement.ndim:
        return "no speech was left out: set intervals = true"
    told = np.isfinite(agreement) & np.isfinite(wer)
    if told.sum() < FEWEST_BLOCKS:
        there = f"{told.sum()} blocks of speech with words and similarities"
        return TooLittle(f"{there}, and it takes at least {FEWEST_BLOCKS}")
    if np.ptp(wer[told]) == 0:
        return f"the word error rate is {wer[told][0]:.0%} on every block of speech"
    return ""


def _any_block(pairs: Sequence[Seen], random: np.random.Generator) -> Sequence[Seen]:
    """The word error rates of blocks of speech at blocks drawn at random, the same for all pairs."""
    order = random.permutation(pairs[0]["wer"].size)
    return [pair.having(wer=pair["wer"][order]) for pair in pairs]


def _about_blocks(pairs: Sequence[Seen]) -> dict[str, float]:
    """How many blocks there are, and means over them."""
    return {
        "blocks": float(np.mean([np.isfinite(pair["agreement"]).sum() for pair in pairs])),
        "agreement": float(np.mean([np.nanmean(pair["agreement"]) for pair in pairs])),
        "word error rate": float(np.mean([np.nanmean(pair["wer"]) for pair in pairs])),
    }


ERRORS_AND_AGREEMENT = OverBlocks(
    id="F9-speech",
    name="word errors and agreement of seeds",
    claim="speech on which two runs of a recogniser agree less is recognised worse by them",
    effect_is="−1 × rank correlation of agreement at the same depth with the word error rate, over blocks of speech",
    least=LEAST,
    read={"agreement": "block_agreement", "wer": "block_wer", "weights": "block_weights"},
    effect=less_and_worse,
    shuffle=_any_block,
    refusal=_too_little,
    scope="seeds",
    details=_about_blocks,
)
