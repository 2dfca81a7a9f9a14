"""Findings of every question, made up: what the report must be able to show, whoever asked."""

from itertools import combinations

import numpy as np

from otoscope.study.findings import Effect, Finding
from otoscope.study.findings.robustness import agreeing

NAN = float("nan")
QUESTIONS = {
    "F1": ("depth hierarchy", "the farther apart two layers are in depth, the less similar they are", 0.5),
    "F1-robinson": ("depth hierarchy, layer by layer", "of three layers, the outer two are least alike", 0.5),
    "F2": ("bottom-up convergence", "layers near the input reach their final state first", 0.5),
    "F3": ("irregularity in depth", "similarity goes up and down with distance", 0.2),
    "F4": ("block structure", "some neighbouring layers are more alike than their distance explains", 0.1),
    "F5": ("most changed layers", "one layer changes more than the others", 0.05),
    "F6-loss": ("pace and loss", "layers change most while the loss falls most", 0.3),
    "F7": ("agreement across seeds", "runs are more alike at the same depth than at different ones", 0.05),
    "F8": ("correspondence across architectures", "the deeper a layer, the deeper its best match", 0.5),
    "F9-checkpoints": ("word errors and nearness to the final state", "nearer checkpoints make fewer errors", 0.5),
    "F9-runs": ("word errors and neighbouring layers", "runs with more alike neighbours make more errors", 0.5),
    "F11": ("a question of tomorrow", "the report shows what it has never heard of", 0.3),
}
BASELINES = {"F1": ("untrained", "shuffled"), "F7": ("untrained",)}


def effect(value, half, least):
    return Effect(value, value - half, value + half, 0.95, float(value - half <= least) / 9, 0.5, half / 3, half / 2)


def make_findings(runs, measures, *, layers, draw=0):
    """One finding for each question, recogniser (or pair, or study) and measure, and F10 for the first measure's."""
    random = np.random.default_rng(draw)
    names = list(dict.fromkeys(run.partition("/")[0] for run in runs))
    found = []
    for id_, (name, claim, least) in QUESTIONS.items():
        pairs = [f"{x} × {y}" for x, y in combinations(names, 2)]
        put_to = pairs if id_ == "F8" else ["all recognisers"] if id_ == "F9-runs" else names
        for of in put_to:
            own = [run for run in runs if run.partition("/")[0] in of] or list(runs)
            for measure in measures:
                asked = {"id": id_, "name": name, "claim": claim, "of": of, "measure": measure}
                value = float(np.clip(random.normal(least, 0.4), -1, 1))
                at = effect(value, 0.2, least)
                holds = at.low > least
                verdict = "holds" if holds else "does not hold" if at.high < least else "not enough data"
                below = {b: effect(value - 0.6, 0.3, least) for b in BASELINES.get(id_, ())}
                found.append(
                    Finding(
                        **asked,
                        verdict=verdict,
                        reason=f"the effect, {value:.2f}, lies somewhere",
                        effect=at,
                        effect_is=f"how much of {name} there is",
                        least=least,
                        p=at.p_above,
                        corrected=min(1.0, 5 * at.p_above),
                        baselines=below,
                        beyond={b: effect(0.6, 0.3, 0.0) for b in below},
                        by_run={run: value + 0.05 * k for k, run in enumerate(own)},
                        details={"first layer": 1.0, "last layer": float(layers - 2)} if id_ == "F4" else {},
                    )
                )
    refused = {"claim": "nothing", "of": names[0], "measure": measures[0]}
    found.append(Finding("F12", "never told", verdict="not applicable", reason="2 layers are too few", **refused))
    ways = (*measures, f"{measures[0]} on noisy")
    for f in [f for f in found if f.measure == measures[0] and f.effect is not None]:
        effects = [f.effect.value, *random.normal(f.effect.value, 0.2, len(ways) - 2), NAN]
        share = agreeing(effects, f.least)
        found.append(
            Finding(
                f"F10-{f.id}",
                f"robustness: {f.name}",
                f"other measures and other speech say the same of {f.id}, {f.name}",
                f.of,
                measures[0],
                "not enough data",
                "the effect may lie on either side of 0.75",
                effect(share, 0.3, 0.75),
                "share of other ways on the same side",
                0.75,
                p=0.2,
                corrected=1.0,
                by_run=f.by_run,
                details=dict(zip(ways, effects, strict=True)),
            )
        )
    return found
