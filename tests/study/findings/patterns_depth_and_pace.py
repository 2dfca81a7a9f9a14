"""Constructed studies with and without the patterns of F3 to F6, and of F1's rider.

Where there are several recognisers, the question is about the first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from otoscope.study.results import CheckpointRow, Results
from tests.study.findings.constructed import Draw, Floats, study

Builder = Callable[[int], Results]

LAYERS, SEEDS, MORE_SEEDS = 7, 3, 5


def _chain(draw: Draw, layers: int = LAYERS, keep: float = 0.6) -> list[Floats]:
    """Each layer keeps a share of the one before: similarity falls with distance."""
    made = [draw.mixed((0.8, draw.speech))]
    while len(made) < layers:
        made.append(draw.mixed((keep, made[-1])))
    return made


def _alike(draw: Draw) -> list[Floats]:
    return [draw.mixed((0.5, draw.speech)) for _ in range(LAYERS)]


def _at_the_ends(
    seed: int,
    trained: Mapping[str, Callable[[Draw], list[Floats]]],
    *,
    untrained: Callable[[Draw], list[Floats]] = _alike,
    seeds: int = SEEDS,
    kinds: Sequence[str] = ("within", "shuffled"),
) -> Results:
    draw = Draw(seed)
    runs = {
        f"{name}/seed{s}": {0: untrained(draw), 100: layers(draw)}
        for name, layers in trained.items()
        for s in range(seeds)
    }
    return study(runs, kinds)


# F1's rider: close layers are in order, those farther apart are not.

NEAR = 1


def _banded(draw: Draw) -> list[Floats]:
    """Neighbours share a part, and all layers the speech."""
    parts = [draw.fresh() for _ in range(LAYERS + NEAR)]
    return [draw.mixed((0.25, draw.speech), *((0.35, part) for part in parts[i : i + NEAR + 1])) for i in range(LAYERS)]


def close_only(seed: int) -> Results:
    """Neighbours are more alike than others, and those are all alike."""
    return _at_the_ends(seed, {"cnn": _banded}, seeds=MORE_SEEDS)


def all_the_way(seed: int) -> Results:
    """Similarity falls clearly with every further layer."""
    return _at_the_ends(seed, {"cnn": lambda draw: _chain(draw, keep=0.75)})


# F3: the layers of a chain in another order.


def _reordered(seed: int) -> Callable[[Draw], list[Floats]]:
    order = np.random.default_rng(seed).permutation(LAYERS)

    def layers(draw: Draw) -> list[Floats]:
        chain = _chain(draw)
        return [chain[k] for k in order]

    return layers


def irregular(seed: int) -> Results:
    """The layers of a chain, in an order drawn at random, the same for each seed."""
    return _at_the_ends(seed, {"transformer": _reordered(seed)}, untrained=_chain, kinds=("within",))


def regular(seed: int) -> Results:
    """Similarity falls with distance, or is the same at any distance, each in half of the draws."""
    return _at_the_ends(seed, {"transformer": _chain if seed % 2 else _alike}, kinds=("within",))


def less_regular(seed: int) -> Results:
    """Layers out of order, beside two recognisers whose layers are in order."""
    return _at_the_ends(seed, {"transformer": _reordered(seed), "cnn": _chain, "lstm": _chain}, kinds=("within",))


def as_regular(seed: int) -> Results:
    """Layers in order, beside two recognisers whose layers are in order."""
    return _at_the_ends(seed, {"transformer": _chain, "cnn": _chain, "lstm": _chain}, kinds=("within",))


# F4: layers within a chain that have something else in common.

BLOCK = range(2, 6)


def _with_block(draw: Draw) -> list[Floats]:
    shared = draw.fresh()
    return [
        draw.mixed((0.5, layer), (0.4, shared)) if i in BLOCK else draw.mixed((0.9, layer))
        for i, layer in enumerate(_chain(draw))
    ]


def _uneven(draw: Draw) -> list[Floats]:
    """A chain to which each layer adds more or less of its own: each run departs from it in other places."""
    return [
        draw.mixed((share, layer))
        for layer, share in zip(_chain(draw), draw.random.uniform(0.7, 1, LAYERS), strict=True)
    ]


def block(seed: int) -> Results:
    """Layers 2 to 5 have something in common that the others have not."""
    return _at_the_ends(seed, {"conformer": _with_block}, seeds=MORE_SEEDS)


def no_block(seed: int) -> Results:
    """A chain; departures from it are each run's own."""
    return _at_the_ends(seed, {"conformer": _uneven}, seeds=MORE_SEEDS)


# F5: how much of its untrained state each layer keeps.


def _kept(seed: int, of_one: tuple[float, float]) -> Results:
    draw = Draw(seed)
    one = int(draw.random.integers(LAYERS))
    runs = {}
    for s in range(MORE_SEEDS):
        first = _alike(draw)
        shares = draw.random.uniform(0.63, 0.67, LAYERS)
        shares[one] = draw.random.uniform(*of_one)
        runs[f"lstm/seed{s}"] = {
            0: first,
            100: [draw.mixed((share, layer)) for share, layer in zip(shares, first, strict=True)],
        }
    return study(runs, ("to_final", "shuffled"))


def one_changes(seed: int) -> Results:
    """One layer, drawn at random and the same for each seed, keeps less of its untrained state than the others."""
    return _kept(seed, (0.3, 0.4))


def all_change(seed: int) -> Results:
    """All layers keep about as much, none of them less than the others with every seed."""
    return _kept(seed, (0.63, 0.67))


# F6: random walks of layers, and a loss that falls.

STEPS = (0, 2, 4, 8, 16, 32, 64, 96, 128, 192, 256, 320, 384, 448, 512, 640, 768)
MANY_SEEDS, FEW_LAYERS = 12, 2


def _walk(seed: int, of_fall: float, of_rate: float) -> Results:
    """Changes go with the number of steps, and to these powers with the fall of the loss and the learning rate.

    The loss falls more over many steps and at a high learning rate, so that all are related where nothing is taken out.
    """
    draw = Draw(seed)
    length = np.diff(STEPS).astype(float)
    runs, training = {}, {}
    for s in range(MANY_SEEDS):
        run = f"cnn/seed{s}"
        rate = np.array([0.1, 0.3, 0.6, 1.0, 1.0, 0.9, 0.3, 0.8, 0.2, 0.7, 0.15, 0.6, 0.1, 0.5, 0.08, 0.4])
        fall = length**0.5 * rate**0.5 * np.exp(draw.random.normal(0, 0.7, len(length)))
        change = 0.02 * length**0.4 * np.exp(draw.random.normal(0, 0.1, len(length)))
        change = np.minimum(change * (fall / length**0.5) ** of_fall * rate**of_rate, 0.9)
        state = _alike(draw)[:FEW_LAYERS]
        states = [state]
        for share in change:
            state = [draw.mixed((1 - share, layer)) for layer in state]
            states.append(state)
        runs[run] = dict(zip(STEPS, states, strict=True))
        loss = 200 - np.concatenate([[0], fall.cumsum()])
        training[run] = [
            CheckpointRow(run, step, dev_loss=loss[k], learning_rate=rate[k - 1] if k else float("nan"))
            for k, step in enumerate(STEPS)
        ]
    return study(runs, ("to_previous",), training=training)


def pace_with_loss(seed: int) -> Results:
    """Layers change with the fall of the loss, and with the learning rate only as far as that does."""
    return _walk(seed, 1.0, 0.0)


def pace_with_rate(seed: int) -> Results:
    """Layers change with the learning rate, and with the fall of the loss only as far as that does."""
    return _walk(seed, 0.0, 1.0)


PATTERNS: Mapping[str, tuple[Builder, Builder]] = {
    "F1-close": (close_only, all_the_way),
    "F3": (irregular, regular),
    "F3-others": (less_regular, as_regular),
    "F4": (block, no_block),
    "F5": (one_changes, all_change),
    "F6-loss": (pace_with_loss, pace_with_rate),
    "F6-rate": (pace_with_rate, pace_with_loss),
}
"""By question, studies with its pattern and without."""
