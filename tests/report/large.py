"""A study of the size that people run: values by formula, noise on them, and the same without each block of speech."""

import json
from itertools import combinations, pairwise, product

import numpy as np

from otoscope.study.findings import find_all
from otoscope.study.findings.writing import about_study, save
from otoscope.study.results import CheckpointRow, Comparison, LayerRow, Missing, Results, UtteranceRow

STEPS = (0, *(round(50 * 1.42**k) for k in range(15)))
BIAS = {"cka-biased": 0.25, "cca": 0.2, "paper-cka": 0.1}
"""What measures read above 0 of unrelated layers."""


def likeness(recogniser, i, j, layers):
    """How alike layers of a trained recogniser are: a chain (cnn), a block (transformer), all alike (others)."""
    apart = abs(i - j)
    if recogniser == "transformer":
        block = 0.35 if 2 <= i <= 5 and 2 <= j <= 5 else 0.0
        return 1.0 if i == j else 0.4 + block + 0.1 * np.cos(2.4 * i * j)
    if recogniser == "lstm":
        return 1.0 if i == j else 0.55
    return float(np.exp(-apart / (0.35 * layers)))


def settled_by(recogniser, i, layers):
    """The step by which a layer has its final form: bottom-up in the lstm."""
    return STEPS[5] * (1 + 2.2 * i) if recogniser == "lstm" else STEPS[7] * (1 + 0.15 * ((7 * i) % layers))


def write_large(
    folder,
    *,
    recognisers=("cnn", "lstm", "transformer", "conformer"),
    seeds=3,
    steps=STEPS,
    layers=9,
    measures=("cka", "cka-debiased", "cka-biased", "cca", "svcca", "paper-cka"),
    blocks=20,
    missing=(),
    findings=True,
    draw=0,
    more=None,
):
    """Write results.nc, findings.json and a manifest; returns the folder."""
    random = np.random.default_rng(draw)
    runs = {f"{name}/seed{seed}": name for name in recognisers for seed in range(seeds)}
    rows = []

    def compare(kind, x, y, value):
        noise = 0.0 if value >= 1 else 0.02
        values, nulls, low, high, left = {}, {}, {}, {}, {}
        for measure in measures:
            bias = BIAS.get(measure, 0.0)
            at = 1.0 if value >= 1 else bias + (1 - bias) * (value + noise * random.standard_normal())
            spread = 0.03 * (1 - at) * random.standard_normal(blocks) / np.sqrt(blocks) if blocks else []
            error = float(np.sqrt((blocks - 1) / blocks * np.square(spread).sum())) if blocks else 0.0
            values[measure], nulls[measure] = at, bias
            if blocks and kind != "shuffled":
                low[measure], high[measure] = at - 2 * error, min(1.0, at + 2 * error)
                left[measure] = (at + spread).tolist()
        rows.append(Comparison(kind, *x, *y, values, nulls, low, high, left))

    def view(run, step, i):
        return run, step, f"blocks.{i}"

    square = list(product(range(layers), repeat=2))
    for run, name in runs.items():
        for k, step in enumerate(steps):
            learnt = [min(1.0, step / settled_by(name, i, layers)) for i in range(layers)]
            for i, j in square:
                trained = likeness(name, i, j, layers)
                mixed = learnt[i] * learnt[j] * trained + (1 - learnt[i] * learnt[j]) * 0.5
                compare("within", view(run, step, i), view(run, step, j), 1.0 if i == j else mixed)
            for i in range(layers):
                last = k == len(steps) - 1
                compare(
                    "to_final", view(run, step, i), view(run, steps[-1], i), 1.0 if last else 0.15 + 0.8 * learnt[i]
                )
        for before, step in pairwise(steps):
            for i in range(layers):
                moved = min(1.0, step / settled_by(name, i, layers)) - min(1.0, before / settled_by(name, i, layers))
                compare("to_previous", view(run, step, i), view(run, before, i), 0.98 - 0.8 * moved)
        for step in (steps[0], steps[-1]):
            for i, j in square:
                compare("shuffled", view(run, step, i), view(run, step, j), 0.0)
    for x, y in combinations(runs, 2):
        alike = runs[x] == runs[y]
        if not alike and x.rpartition("seed")[2] != y.rpartition("seed")[2]:
            continue
        for step, (i, j) in product((steps[0], steps[-1]), square):
            near = 0.5 * likeness(runs[x], i, j, layers) * (1.4 if alike else 0.8) if step else 0.3
            compare("across", view(x, step, i), view(y, step, j), near)
    points = []
    for run in runs:
        quick = random.uniform(0.8, 1.2)
        for k, step in enumerate(steps):
            wer = float(0.12 * quick + 0.88 * np.exp(-step / (900 * quick)))
            scored = {"dev_wer": wer, "dev_cer": wer / 2}
            scored |= {"test_wer": wer + 0.01, "test_cer": wer / 2} if step == steps[-1] else {}
            rate = 0.001 * min(1.0, step / 500) if step else float("nan")
            losses = {"dev_loss": 80 * wer + 5, "train_loss": 76 * wer if step else float("nan")}
            points.append(CheckpointRow(run, step, k, step * 0.4, **losses, **scored, learning_rate=rate))
    heard = [
        UtteranceRow(
            run, f"u{u}", errors=int(random.poisson(0.6 + 0.1 * (u % blocks))), words=8, split="dev", block=u % blocks
        )
        for run in runs
        for u in range(4 * blocks)
    ]
    results = Results.from_rows(
        rows,
        points,
        [LayerRow(run, f"blocks.{i}", units=256, stride=0.04, kind="block") for run in runs for i in range(layers)],
        measures=measures,
        missing=missing,
        utterance_rows=heard,
        intervals="95 %, jackknife over blocks of speakers" if blocks else "",
        title="A study of the usual size",
        frames=60_000,
        utterances=120,
        grid=0.04,
        corpus="constructed",
        probe_split="dev, test",
    )
    folder.mkdir(parents=True, exist_ok=True)
    results.save(folder / "results.nc")
    (folder / "manifest.json").write_text(json.dumps({"seeds": list(range(seeds))}), encoding="utf-8")
    if findings:
        found = find_all(results, **({} if more is None else {"questions": more}))
        save(found, folder / "findings.json", about_study(results, folder / "results.nc"))
    return folder


FAILED = Missing("lstm/seed3", "training", "TrainingError: the loss at step 12 is nan; lower peak_learning_rate")
