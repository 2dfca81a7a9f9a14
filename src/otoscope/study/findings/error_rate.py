"""F9: what similarities tell of the word error rate, over the checkpoints of a run and over runs."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from otoscope.study.findings.evidence import Evidence, Seen, recogniser_of
from otoscope.study.findings.finding import Finding
from otoscope.study.findings.partial import LEAST_UNEXPLAINED, partial_rank_correlation, unexplained
from otoscope.study.findings.question import Question, TooLittle
from otoscope.study.findings.ranks import correlation, rank_correlation, ranks

__all__ = ["ERRORS_AND_DISTANCE_TO_FINAL", "ERRORS_AND_NEIGHBOURS", "FEWEST_RUNS", "OverRuns"]

Floats = npt.NDArray[np.float64]

FEWEST_CHECKPOINTS = 8
"""Before the final one. Four numbers describe the trend; fewer than as many again tell nothing beyond it."""

TREND = 3
"""Degree of the curve through training that is taken out. Where nearness and errors both level off, a straight line
leaves the same bend in both: independent noise about such curves then reads 0.2 to 0.5. About a cubic, 0.0 to 0.2."""

FEWEST_RUNS = 8
"""Of recognisers with several: among fewer, ranks agree by chance too often."""


def nearer_and_better(runs: Sequence[Seen]) -> float:
    """How a checkpoint's nearness to the final state goes with its words right, beyond what the step tells of both.

    Formula: −ρ(s̄_t, e_t | t) over the checkpoints before the final one, mean over runs: s̄_t the mean over layers of
    the similarity to their final states, e_t the word error rate on dev, ρ the partial rank correlation, with a cubic
    in the place of the checkpoint taken out of the ranks of both. With the training going on both fall into place,
    whatever they have to do with each other; asked is whether a checkpoint that is nearer to the final state than its
    step makes expect has fewer errors than its step makes expect. The final checkpoint is 1 from itself by
    construction, and left out.

    A run in which the step alone gives the order of either tells nothing and is passed over; NaN if all are such.

    Source: the question of Ollerenshaw et al. 2021 (similarities as indicators for building recognisers); partial rank
    correlation after Kendall 1942 and Conover & Iman 1981 (regression on ranks).
    """
    told = [value for value in map(_nearer_and_better, runs) if np.isfinite(value)]
    return float(np.mean(told)) if told else float("nan")


def _nearer_and_better(run: Seen) -> float:
    return -_beyond_trend(*_before_final(run))


def _beyond_trend(near: Floats, wer: Floats, degree: int = TREND) -> float:
    """Partial rank correlation given the course of training; NaN where that alone tells the order of either."""
    if len(near) <= degree + 2 or unexplained(near, (), degree) < LEAST_UNEXPLAINED:
        return math.nan
    return partial_rank_correlation(near, wer, trend=degree)


def _before_final(run: Seen) -> tuple[Floats, Floats]:
    """Of the checkpoints that were scored, without the final one: mean similarity to it, and word error rate."""
    near, wer = run["to_final"].mean(0)[:-1], run["dev_wer"][:-1]
    scored = np.isfinite(wer)
    return near[scored], wer[scored]


def _any_checkpoint(runs: Sequence[Seen], random: np.random.Generator) -> Sequence[Seen]:
    """The word error rates of each run's checkpoints before the final one at checkpoints drawn at random."""
    return [run.having(dev_wer=np.append(random.permutation(run["dev_wer"][:-1]), run["dev_wer"][-1])) for run in runs]


def _without_trend(runs: Sequence[Seen]) -> dict[str, float]:
    """The same with the course of training left in, by a straight line in the step's ranks only, and the data."""
    shown = [_before_final(run) for run in runs]
    return {
        "step not taken out": -float(np.mean([rank_correlation(*one) for one in shown])),
        "straight line taken out": -float(np.mean([_beyond_trend(*one, degree=1) for one in shown])),
        "checkpoints": float(np.mean([len(near) for near, _ in shown])),
    }


def _few_checkpoints(run: Seen) -> str:
    if not np.isfinite(run["to_final"]).all():
        return "similarities to the final state were not computed"
    scored = len(_before_final(run)[0])
    if scored < FEWEST_CHECKPOINTS:
        there = f"{scored} checkpoints with a word error rate before the final one"
        return TooLittle(f"{there}, and it takes {FEWEST_CHECKPOINTS}")
    return ""


def redundant_and_worse(runs: Sequence[Seen]) -> float:
    """How the similarity of neighbouring layers goes with the word error rate, over runs of the same recogniser.

    Formula: the correlation over runs of u and v, u the rank among the runs of its recogniser of mean_i s_{i,i+1} in
    the final state, v that of the final word error rate on dev, both centred and divided by the number of those runs.
    Recognisers differ in either for many reasons, of which the one need not come from the other: so nothing is read
    from differences between them, and a recogniser of one run adds nothing. NaN for fewer than 8 runs.

    A relation the other way round, more errors where neighbours are *less* alike, is below 0 and so "does not hold";
    the number tells it.

    Source: the question of Ollerenshaw et al. 2021: whether similarities of layers tell of recognition.
    """
    neighbours, wer, of = _by_run(runs)
    if len(neighbours) < FEWEST_RUNS - 1:  # one of them may be left out for the interval
        return float("nan")
    return correlation(_within(neighbours, of), _within(wer, of))


def _by_run(runs: Sequence[Seen]) -> tuple[Floats, Floats, list[str]]:
    """Neighbours' similarity, word error rate and recogniser of each run that is not its recogniser's only one."""
    of = [recogniser_of(run.runs[0]) for run in runs]
    several = [(run, name) for run, name in zip(runs, of, strict=True) if of.count(name) > 1]
    neighbours = [np.diagonal(run["within"], 1).mean() for run, _ in several]
    return (
        np.array(neighbours, dtype=np.float64),
        np.array([run["dev_wer"][-1] for run, _ in several], dtype=np.float64),
        [name for _, name in several],
    )


def _within(values: Floats, of: Sequence[str]) -> Floats:
    """Ranks among values of the same recogniser, from −½ to ½ about their middle."""
    found = np.empty(len(values))
    for name in set(of):
        mine = np.array([other == name for other in of])
        found[mine] = (ranks(values[mine]) - mine.sum() / 2) / mine.sum()
    return found


def _any_run(runs: Sequence[Seen], random: np.random.Generator) -> Sequence[Seen]:
    """The word error rates of a recogniser's runs in runs drawn at random."""
    of = np.array([recogniser_of(run.runs[0]) for run in runs])
    order = np.arange(len(runs))
    for name in set(of):
        order[of == name] = random.permutation(order[of == name])
    return [run.having(dev_wer=runs[other]["dev_wer"]) for run, other in zip(runs, order.tolist(), strict=True)]


def _across_recognisers(runs: Sequence[Seen]) -> dict[str, float]:
    """The runs that tell, and the rank correlation over all runs, whatever their recogniser: not the finding."""
    neighbours = np.array([np.diagonal(run["within"], 1).mean() for run in runs])
    wer = np.array([run["dev_wer"][-1] for run in runs])
    return {
        "runs": float(len(_by_run(runs)[0])),
        "without regard to recogniser": rank_correlation(neighbours, wer),
    }


def _no_final_state(run: Seen) -> str:
    if len(run["within"]) < 2:
        return "one layer, which has no neighbour"
    if not np.isfinite(np.diagonal(run["within"], 1)).all():
        return "similarities of neighbouring layers were not computed"
    if not np.isfinite(run["dev_wer"][-1]):
        return TooLittle("the final checkpoint has no word error rate on dev")
    return ""


class OverRuns(Question):
    """A question that takes many runs: of fewer it says how many there are."""

    def answer(self, of: str, measure: str, evidence: Evidence) -> Finding:
        """As of any question, but not enough data for fewer than 8 runs of recognisers with several."""
        names = [recogniser_of(entry.runs[0]) for entry in evidence]
        there = sum(names.count(name) > 1 for name in names)
        if there >= FEWEST_RUNS:
            return super().answer(of, measure, evidence)
        reason = (
            f"{there} runs of recognisers with several seeds, and a relation between runs takes at least {FEWEST_RUNS}"
        )
        return Finding(
            self.id, self.name, self.claim, of, measure, reason=reason, effect_is=self.effect_is, least=self.least
        )


ERRORS_AND_DISTANCE_TO_FINAL = Question(
    id="F9-checkpoints",
    name="word errors and nearness to the final state",
    claim="checkpoints that are nearer to the final state than their step makes expect make fewer word errors",
    effect_is="−1 × partial rank correlation of mean similarity to the final state with dev WER, given the step",
    least=0.5,
    read={"to_final": "to_final", "dev_wer": "dev_wer"},
    effect=nearer_and_better,
    shuffle=_any_checkpoint,
    refusal=_few_checkpoints,
    details=_without_trend,
)

ERRORS_AND_NEIGHBOURS = OverRuns(
    id="F9-runs",
    name="word errors and similarity of neighbouring layers",
    claim="of runs of one recogniser, those whose neighbouring layers are more alike make more word errors",
    effect_is="rank correlation of neighbours' mean similarity with dev WER, within recognisers",
    least=0.5,
    read={"within": "within", "dev_wer": "dev_wer"},
    effect=redundant_and_worse,
    shuffle=_any_run,
    refusal=_no_final_state,
    scope="study",
    details=_across_recognisers,
)
