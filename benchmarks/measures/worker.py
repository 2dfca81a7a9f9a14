"""One job in a process of its own: `python -m benchmarks.measures.worker '<job as JSON>'` prints its record as JSON."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from benchmarks.measures import timing
from benchmarks.measures.data import CASES, QUICK, Case, Data, make
from benchmarks.measures.reference import checked_pairs
from benchmarks.peers import METHODS, Method, installed

SMALL = (slice(400), slice(32))  # frames and units of a first taste, before time is taken


def main(job: dict[str, Any]) -> dict[str, Any]:
    torch.set_num_threads(job["threads"])
    kind = job["kind"]
    if kind == "growth":
        from benchmarks.measures.passes import growth

        return growth(job["frames"], tuple(job["widths"]))
    case = (QUICK if job["quick"] else CASES)[job["case"]]
    folder = Path(job["data"])
    data = load(case, folder)
    if kind == "accumulation":
        from benchmarks.measures.passes import accumulation

        return accumulation(data, quick=job["quick"])
    if kind == "gpu":
        from benchmarks.measures.passes import on_gpu

        return on_gpu(data)
    if kind == "ours":
        return _ours(case, data, job["measure"])
    method = next(m for m in METHODS if m.key == job["method"])
    if not installed(method.needs):
        return {"absent": f"{method.needs} is not installed"}
    run = _all_at_once if method.matrix is not None else _pair_by_pair
    return run(method, case, data, job["budget"])


def store(case: Case, folder: Path) -> None:
    """Make a case's data and keep it, for all jobs of a run."""
    data = make(case)
    for name, layers in (("first", data.first), ("second", data.second)):
        for i, x in enumerate(layers):
            np.save(folder / f"{case.name}.{name}.{i}.npy", x)
    (folder / f"{case.name}.json").write_text(json.dumps(data.lengths), encoding="ascii")


def load(case: Case, folder: Path) -> Data:
    """What `store` kept."""
    first, second = (
        [np.load(folder / f"{case.name}.{name}.{i}.npy") for i in range(len(widths))]
        for name, widths in (("first", case.widths), ("second", case.second))
    )
    return Data(first, second, json.loads((folder / f"{case.name}.json").read_text(encoding="ascii")))


def _ours(case: Case, data: Data, measure: str) -> dict[str, Any]:
    from benchmarks.measures.ours import prepared, small

    prepared(measure, small())()
    found, cost = timing.best_of(prepared(measure, data))
    checked = {name: [float(v[i, j]) for i, j in checked_pairs(case)] for name, v in found.items()}
    return {"cpu": cost.cpu, "wall": cost.wall, "runs": cost.runs, "peak": cost.peak, "values": checked}


def _all_at_once(method: Method, case: Case, data: Data, budget: float) -> dict[str, Any]:
    assert method.matrix is not None
    method.matrix([x[SMALL].copy() for x in data.first[:2]], None)
    found, cost = timing.best_of(lambda: method.matrix(data.first, data.second or None), enough=budget / 3)
    checked = {method.measure: [float(found[i, j]) for i, j in checked_pairs(case)]}
    return {"cpu": cost.cpu, "wall": cost.wall, "runs": cost.runs, "peak": cost.peak, "values": checked}


def _pair_by_pair(method: Method, case: Case, data: Data, budget: float) -> dict[str, Any]:
    """All pairs where they fit into the budget (in seconds); else as many as do, the checked ones first, and scaled."""
    frames = min(method.most_frames or case.frames, case.frames)
    first, second = ([x[:frames] for x in layers] for layers in (data.first, data.second or data.first))
    pair = method.pair
    assert pair is not None
    pair(*(method.prepare(x[SMALL].copy()) for x in (first[0], second[1])))
    record: dict[str, Any] = {}
    spent, runs = 0.0, 0
    while runs == 0 or (spent < budget / 3 and runs < timing.MOST_RUNS and record["pairs"] == len(case.pairs)):
        once = _one_round(method, case, (first, second), budget)
        spent, runs = spent + once["wall"], runs + 1
        record = once if not record else {**record, **{k: min(record[k], once[k]) for k in ("cpu", "wall")}}
    scale = (case.frames / frames) ** method.order
    record.update(cpu=record["cpu"] * scale, wall=record["wall"] * scale, runs=runs)
    record.update(frames=frames, all_frames=case.frames, all_pairs=len(case.pairs))
    if scale > 1:
        record["peak"] = None
    return record


def _one_round(method: Method, case: Case, layers: tuple[list[Any], list[Any]], budget: float) -> dict[str, Any]:
    pair = method.pair
    assert pair is not None
    checked = checked_pairs(case)
    pairs = [*checked, *(p for p in case.pairs if p not in checked)]
    ready: dict[tuple[int, int], Any] = {}
    layer_cost, pair_cost = [], []
    found = {}

    def run() -> None:
        for i, j in pairs:
            for side, k in ((0, i), (1 if case.second else 0, j)):
                if (side, k) not in ready:
                    ready[side, k], cpu, wall = timing.clocked(lambda s=side, k=k: method.prepare(layers[s][k]))
                    layer_cost.append((cpu, wall))
            second = ready[1 if case.second else 0, j]
            found[i, j], cpu, wall = timing.clocked(lambda i=i, second=second: pair(ready[0, i], second))
            pair_cost.append((cpu, wall))
            if sum(w for _, w in layer_cost) + sum(w for _, w in pair_cost) > budget:
                break

    _, peak = timing.peak_over(run)
    done = len(pair_cost)
    count = len(case.widths) + len(case.second)
    cpu, wall = (
        float(np.mean([c[k] for c in layer_cost]) * count + np.mean([c[k] for c in pair_cost]) * len(pairs))
        for k in (0, 1)
    )
    values_ = [found.get(p) for p in checked]
    whole = done == len(pairs)
    return {
        "cpu": cpu,
        "wall": wall,
        "pairs": done,
        "peak": peak if whole else None,
        "values": {method.measure: values_},
    }


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))))
