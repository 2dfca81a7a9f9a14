"""Small but honest study folders: views made from random signals, measured here by plain numpy formulas."""

import json
from itertools import pairwise, product

import numpy as np

from otoscope.study.content.rows import ContentRow
from otoscope.study.results import CheckpointRow, Comparison, LayerRow, Refusal, Results, UtteranceRow

UTTERANCES, LENGTH, STEPS = 12, 20, (0, 50, 200, 800)


def cross_utterance_cka(x, y):
    def s(a, b):
        parts = np.einsum("utp,utq->upq", a, b)
        return (parts.sum(0) ** 2).sum() - (parts**2).sum()

    return float(s(x, y) / np.sqrt(s(x, x) * s(y, y)))


def biased_cka(x, y):
    x, y = x.reshape(-1, x.shape[-1]), y.reshape(-1, y.shape[-1])
    return float(np.linalg.norm(x.T @ y) ** 2 / (np.linalg.norm(x.T @ x) * np.linalg.norm(y.T @ y)))


def mean_cca(x, y):
    bases = [np.linalg.qr(v.reshape(-1, v.shape[-1]))[0] for v in (x, y)]
    return float(np.linalg.svd(bases[0].T @ bases[1], compute_uv=False).mean())


def procrustes(x, y):
    x, y = x.reshape(-1, x.shape[-1]), y.reshape(-1, y.shape[-1])
    cosine = np.linalg.svd(x.T @ y, compute_uv=False).sum() / np.linalg.norm(x) / np.linalg.norm(y)
    return float(np.sqrt(max(0.0, 2 - 2 * cosine)))


MEASURES = {"cka": cross_utterance_cka, "cka-biased": biased_cka, "cca": mean_cca}
DISTANCES = {"procrustes": procrustes}
HALF_WIDTH = 0.02
BLOCKS = 4


def null_level(measure, x, y):
    n, p, q = x.shape[0] * x.shape[1], x.shape[2], y.shape[2]
    if measure in ("cka", "procrustes"):
        return 0.0 if measure == "cka" else float("nan")
    return float(np.sqrt(p * q / ((n + p) * (n + q)))) if measure == "cka-biased" else float(np.sqrt(max(p, q) / n))


def views(rng, layers, speech):
    """One run's views by (step, layer): from a random mix of the input towards a shared signal, layer by layer."""
    target = [np.tanh(speech @ rng.normal(size=(8, 6 + k))) for k in range(layers)]
    noise = [rng.normal(size=t.shape) for t in target]
    made = {}
    for step in STEPS:
        for k in range(layers):
            learnt = 1 - np.exp(-step / (40 * (k + 1)))
            x = learnt * target[k] + (1 - learnt) * 0.7 * noise[k]
            made[step, k] = x - x.mean((0, 1))
    return made


def carried(label, runs, names):
    """What layers say of a label: more with depth and with training, by two methods."""
    for (run, layers), method, step in product(runs.items(), ("probe", "cka"), STEPS):
        for depth, layer in enumerate(("input", *map(names.format, range(layers)))):
            if layer == "input" and step:
                continue
            value = 0.2 + 0.1 * depth * step / STEPS[-1]
            before = 0.2 if depth else float("nan")
            ends = value - HALF_WIDTH, value + HALF_WIDTH
            note = "too few of zh" if (depth, method) == (1, "cka") else ""
            yield ContentRow(run, step, layer, label, method, value, *ends, 0.1, 0.11, before, 900, 12, note)


def make_study(
    folder,
    runs,
    *,
    names="blocks.{}",
    missing=False,
    title="A small study",
    measures=tuple(MEASURES),
    intervals=False,
    failed=(),
    content=(),
):
    """Write a study folder; `runs` maps each run to its number of layers.

    Intervals are ± `HALF_WIDTH`; with them, values without each of `BLOCKS` blocks of speech. `content` names labels.
    """
    rng = np.random.default_rng(7)
    speech = rng.normal(size=(UTTERANCES, LENGTH, 8))
    made = {run: views(rng, layers, speech) for run, layers in runs.items()}
    order = np.roll(np.arange(UTTERANCES), 5)

    def compare(kind, x, y):
        (run_x, step_x, i), (run_y, step_y, j) = x, y
        a, b = made[run_x][step_x, i], made[run_y][step_y, j]
        b = b[order] if kind == "shuffled" else b
        values = {m: f(a, b) for m, f in (MEASURES | DISTANCES).items() if m in measures}
        if missing and 1 in (i, j):
            values["cca"] = float("nan")
        nulls = {m: null_level(m, a, b) for m in measures}
        labels = names.format(i), names.format(j)
        ends = [{m: v + sign * HALF_WIDTH for m, v in values.items()} for sign in (-1, 1)]
        ends = ends if intervals and kind != "shuffled" else [{}, {}]
        spread = HALF_WIDTH / 2 * np.array([-1, 1, -1, 1]) / np.sqrt(BLOCKS * (BLOCKS - 1))
        left = {m: (v + spread).tolist() for m, v in values.items()} if ends[0] else {}
        return Comparison(kind, run_x, step_x, labels[0], run_y, step_y, labels[1], values, nulls, *ends, left)

    rows, points, depth = [], [], []
    for run, layers in runs.items():
        square = list(product(range(layers), repeat=2))
        for step in STEPS:
            rows += [compare("within", (run, step, i), (run, step, j)) for i, j in square]
        for step in (STEPS[0], STEPS[-1]):
            rows += [compare("shuffled", (run, step, i), (run, step, j)) for i, j in square]
        for k in range(layers):
            rows += [compare("to_final", (run, s, k), (run, STEPS[-1], k)) for s in STEPS]
            rows += [compare("to_previous", (run, s, k), (run, p, k)) for p, s in pairwise(STEPS)]
            depth.append(LayerRow(run, names.format(k), units=6 + k, stride=0.04, kind="conv"))
        for epoch, step in enumerate(STEPS):
            wer = 0.2 + 0.8 * float(np.exp(-step / 300))
            scored = {"dev_wer": wer, "dev_cer": wer / 2}
            if step == STEPS[-1]:
                scored |= {"test_wer": wer + 0.02, "test_cer": wer / 2}
            losses = {"dev_loss": 3 * wer, "train_loss": 2.8 * wer}
            points.append(CheckpointRow(run, step, epoch=epoch, seconds=step * 0.5, **losses, **scored))
    members = list(runs)
    for a, x in enumerate(members):
        for y in members[a + 1 :]:
            for step in (STEPS[0], STEPS[-1]):
                square = product(range(runs[x]), range(runs[y]))
                rows += [compare("across", (x, step, i), (y, step, j)) for i, j in square]
    refusals = [Refusal("cca", run, names.format(1), "12 frames for 7 units: too few") for run in runs]
    results = Results.from_rows(
        rows,
        points,
        depth,
        refusals=refusals if missing else (),
        no_intervals=[Refusal("cka", run, names.format(0), "half of it is too short") for run in runs][
            : int(intervals)
        ],
        intervals="95 %, jackknife over blocks of speakers" if intervals else "",
        utterance_rows=[
            UtteranceRow(run, f"u{u}", errors=u % 3, words=4, split="dev", block=u % BLOCKS if intervals else -1)
            for run in runs
            for u in range(UTTERANCES)
        ],
        missing=failed,
        content_rows=[row for label in content for row in carried(label, runs, names)],
        title=title,
        frames=UTTERANCES * LENGTH,
        utterances=UTTERANCES,
        grid=0.04,
        corpus="tones",
        probe_split="dev",
    )
    folder.mkdir(parents=True, exist_ok=True)
    results.save(folder / "results.nc")
    problem = {"utterance": "u1", "kind": "empty audio", "what": "0 samples", "action": "skipped"}
    manifest = {
        "command": ["otoscope", "study", "--corpus", "tones"],
        "versions": {"otoscope": "0.1.0", "torch": "2.13.0"},
        "host": "laptop, 2 cores",
        "git": "0123abc",
        "corpus": {
            "name": "tones",
            "utterances": 120,
            "hours": 0.5,
            "speakers": 4,
            "splits": {"train": {"utterances": 100, "speakers": 3}, "dev": {"utterances": 12, "speakers": 1}},
            "hash": "ab" * 32,
            "problems": {"counts": {"empty audio, skipped": 1}, "list": [problem]},
        },
        "recognisers": [
            {
                "name": run.rpartition("/")[0],
                "seed": int(run.rpartition("seed")[2]),
                "parameters": 123456,
                "recipe": {"learning_rate": 0.001, "batch_seconds": 60},
            }
            for run in runs
        ],
        "seeds": [0],
        "duration": 1234.5,
    }
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    for run in runs:
        log = folder / "recognisers" / run / "log.jsonl"
        log.parent.mkdir(parents=True, exist_ok=True)
        lines = [
            {"step": s, "epoch": s / 300, "loss": 0.5 + 2.5 * float(np.exp(-s / 250)), "seconds": s * 0.5}
            for s in range(1, STEPS[-1] + 1)
        ]
        log.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return folder
