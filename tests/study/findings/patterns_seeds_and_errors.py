"""Constructed studies with and without the patterns of F7, F8 and F9."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from otoscope.study.results import CheckpointRow, Results, UtteranceRow
from tests.study.findings.constructed import UNITS, Draw, Floats, across_by_utterance, recognised, study

Builder = Callable[[int], Results]

LAYERS, SEEDS = 7, 3


def _chain(draw: Draw, layers: int, keep: float = 0.6) -> list[Floats]:
    """What each depth has to do with: each keeps a share of the one before."""
    made = [draw.fresh()]
    while len(made) < layers:
        made.append(draw.mixed((keep, made[-1])))
    return made


def _alike(draw: Draw, layers: int) -> list[Floats]:
    """Each layer has the same share of the speech: none is nearer to another."""
    return [draw.mixed((0.5, draw.speech)) for _ in range(layers)]


# F7


TURN = 2


def same_layers(seed: int) -> Results:
    """Trained layers of all runs have the same parts at the same depth."""
    return _across_seeds(seed, turn=0)


def other_layers(seed: int) -> Results:
    """Trained layers of all runs have the same parts, in every run at another depth."""
    return _across_seeds(seed, turn=TURN)


def any_layers(seed: int) -> Results:
    """Layers of all runs are alike, whatever their depth, before training and after."""
    draw = Draw(seed)
    return study({f"cnn/seed{s}": {step: _alike(draw, LAYERS) for step in (0, 100)} for s in range(SEEDS)}, ("across",))


def _across_seeds(seed: int, turn: int) -> Results:
    draw = Draw(seed)
    chain = _chain(draw, LAYERS)
    runs = {}
    for s in range(SEEDS):
        trained = [draw.mixed((0.6, chain[(i + turn * s) % LAYERS])) for i in range(LAYERS)]
        runs[f"cnn/seed{s}"] = {0: _alike(draw, LAYERS), 100: trained}
    return study(runs, ("across",))


# F8

DEEP, FLAT, PAIRS = 6, 5, 3
"""Layers of the two recognisers, and runs of each."""

IN_ORDER = (0, 1, 3, 4, 5)
OUT_OF_ORDER = (2, 4, 0, 5, 1)
"""Which layers of the one those of the other have to do with: Somers' D is 1, and 0."""


def in_order(seed: int) -> Results:
    """Layers of two recognisers have the same parts, in the same order."""
    return _two_recognisers(seed, IN_ORDER)


def out_of_order(seed: int) -> Results:
    """Layers of two recognisers have the same parts, in another order."""
    return _two_recognisers(seed, OUT_OF_ORDER)


def _two_recognisers(seed: int, partners: Sequence[int]) -> Results:
    draw = Draw(seed)
    chain = _chain(draw, DEEP)
    runs = {}
    for s in range(PAIRS):
        runs[f"cnn/seed{s}"] = {0: _alike(draw, DEEP), 100: [draw.mixed((0.6, part)) for part in chain]}
        flat = [draw.mixed((0.6, chain[i])) for i in partners]
        runs[f"lstm/seed{s}"] = {0: _alike(draw, FLAT), 100: flat}
    return study(runs, ("across",))


# F9, over checkpoints

CHECKPOINTS, TRAINED, SETTLING = 20, 6, 2


def errors_follow(seed: int) -> Results:
    """Nearness to the final state and errors level off with the steps, and where one is off its course so is the
    other."""
    return _trained(seed, together=True)


def errors_go_their_way(seed: int) -> Results:
    """Both level off with the steps, and are off their course independently."""
    return _trained(seed, together=False)


def _trained(seed: int, *, together: bool) -> Results:
    draw = Draw(seed)
    runs, training = {}, {}
    steps = [10 * t for t in range(CHECKPOINTS + 1)]
    course = 1 - np.exp(-3 * np.arange(CHECKPOINTS) / CHECKPOINTS)
    for s in range(TRAINED):
        run = f"cnn/seed{s}"
        off, else_ = draw.random.normal(0, 0.08, (2, CHECKPOINTS))
        share = np.clip(0.1 + 0.7 * course + off, 0.0, 1.0)
        wer = 0.9 - 0.6 * course - (off if together else else_)
        final = [draw.mixed((0.5, draw.speech)) for _ in range(SETTLING)]
        states = {
            step: [draw.mixed((part, layer)) for layer in final] for step, part in zip(steps, share, strict=False)
        }
        runs[run] = {**states, steps[-1]: final}
        training[run] = [CheckpointRow(run, step, dev_wer=float(e)) for step, e in zip(steps, [*wer, 0.3], strict=True)]
    return study(runs, ("to_final",), training=training)


# F9, over runs

RUNS_EACH = 20


def redundant_runs_err(seed: int) -> Results:
    """Runs of three recognisers whose neighbouring layers are more alike make more errors."""
    return _many_runs(seed, slope=0.5)


def redundancy_tells_nothing(seed: int) -> Results:
    """Recognisers whose layers are more alike make more errors, but not runs of the same."""
    return _many_runs(seed, slope=0.0)


def _many_runs(seed: int, slope: float) -> Results:
    draw = Draw(seed)
    runs, training = {}, {}
    for k, name in enumerate(("cnn", "lstm", "transformer")):
        for s in range(RUNS_EACH):
            run, redundant = f"{name}/seed{s}", draw.random.uniform(-0.2, 0.2)
            share = 0.3 + 0.2 * k + redundant
            wer = 0.3 + 0.1 * k + slope * redundant + draw.random.normal(0, 0.01)
            runs[run] = {0: _alike(draw, 2), 100: [draw.mixed((share, draw.speech)) for _ in range(2)]}
            training[run] = [CheckpointRow(run, 0, dev_wer=1.0), CheckpointRow(run, 100, dev_wer=float(wer))]
    return study(runs, ("within",), training=training)


# F9, over speech

SPOKEN, WORDS = 100, 40


def hard_speech_divides(seed: int) -> Results:
    """Where two runs have less in common, both err more."""
    return _heard(seed, together=True)


def errors_anywhere(seed: int) -> Results:
    """Runs have less in common on some speech and err more on other."""
    return _heard(seed, together=False)


def _heard(seed: int, *, together: bool) -> Results:
    random = np.random.default_rng(seed)
    lengths = random.integers(20, 41, SPOKEN).tolist()
    ease, other = random.uniform(0, 1, (2, SPOKEN))
    by_frame = np.repeat(0.1 + 0.8 * ease, lengths)[:, None]
    frames = sum(lengths)

    def fresh() -> Floats:
        return random.standard_normal((frames, UNITS))

    layers = [fresh() for _ in range(2)]

    def heard() -> Sequence[Floats]:
        return [np.sqrt(by_frame) * layer + np.sqrt(1 - by_frame) * fresh() for layer in layers]

    runs = {f"cnn/seed{s}": heard() for s in range(SEEDS)}
    chance = 0.6 - 0.5 * (ease if together else other)
    rows = [
        UtteranceRow(run, f"u{i:03}", int(random.binomial(WORDS, chance[i])), WORDS, "test", i)
        for run in runs
        for i in range(SPOKEN)
    ]
    return recognised(across_by_utterance(runs, lengths, measure="cka"), rows)


PATTERNS: Mapping[str, tuple[Builder, Builder]] = {
    "F7": (same_layers, any_layers),
    "F7-matching": (same_layers, other_layers),
    "F8": (in_order, out_of_order),
    "F9-checkpoints": (errors_follow, errors_go_their_way),
    "F9-runs": (redundant_runs_err, redundancy_tells_nothing),
    "F9-speech": (hard_speech_divides, errors_anywhere),
}
"""By question, studies with its pattern and without."""
