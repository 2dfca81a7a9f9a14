"""Constructed studies with and without the patterns of F1 and F2."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from otoscope.study.results import Results
from tests.study.findings.constructed import Draw, Floats, study

Builder = Callable[[int], Results]

LAYERS, SEEDS = 7, 5

MORE_SEEDS = 8
"""An order of seven layers drawn at random goes with depth by ±0.3: that it does not takes several runs to say."""


def chain(draw: Draw, keep: float = 0.6) -> list[Floats]:
    """Each layer keeps a share of the one before: similarity falls with distance."""
    layers = [draw.mixed((0.8, draw.speech))]
    while len(layers) < LAYERS:
        layers.append(draw.mixed((keep, layers[-1])))
    return layers


def alike(draw: Draw) -> list[Floats]:
    """Each layer has the same share of the speech: none is nearer to another."""
    return [draw.mixed((0.5, draw.speech)) for _ in range(LAYERS)]


def hierarchy(seed: int) -> Results:
    """Trained layers are a chain, untrained ones alike."""
    return _at_the_ends(seed, chain)


def no_hierarchy(seed: int) -> Results:
    """Layers are alike before training and after."""
    return _at_the_ends(seed, alike)


def _at_the_ends(seed: int, trained: Callable[[Draw], list[Floats]]) -> Results:
    draw = Draw(seed)
    runs = {f"cnn/seed{s}": {0: alike(draw), 100: trained(draw)} for s in range(SEEDS)}
    return study(runs, ("within", "shuffled"))


STEPS = (0, 20, 40, 60, 80, 100)


def bottom_up(seed: int) -> Results:
    """The i-th layer reaches its final state at step 15 + 10 i."""
    return _converging(seed, [15 + 10 * i for i in range(LAYERS)])


def all_at_once(seed: int) -> Results:
    """The layers reach their final states at steps that have nothing to do with depth."""
    return _converging(seed, None)


def _converging(seed: int, when: list[int] | None) -> Results:
    draw = Draw(seed)
    runs = {}
    for s in range(MORE_SEEDS):
        ends = when or draw.random.permutation([15 + 10 * i for i in range(LAYERS)]).tolist()
        final = [draw.mixed((0.5, draw.speech)) for _ in range(LAYERS)]
        runs[f"lstm/seed{s}"] = {
            step: [
                layer if step == STEPS[-1] else draw.mixed((0.95 * min(1.0, step / end), layer))
                for layer, end in zip(final, ends, strict=True)
            ]
            for step in STEPS
        }
    return study(runs, ("to_final",))


PATTERNS: Mapping[str, tuple[Builder, Builder]] = {
    "F1": (hierarchy, no_hierarchy),
    "F1-robinson": (hierarchy, no_hierarchy),
    "F2": (bottom_up, all_at_once),
}
"""By question, studies with its pattern and without."""
