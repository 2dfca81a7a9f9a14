"""Times the measures and their peers, each in a process of its own, and writes docs/results/measures/.

    python -m benchmarks.measures                      everything, well over an hour on two cores
    python -m benchmarks.measures --quick              the same on tiny layers, to see that it runs; writes nothing
    python -m benchmarks.measures --case A --measure cca pwcca --threads 1
    python -m benchmarks.measures --part pass growth
    python -m benchmarks.measures --part differences   what others get wrong, as a table
    python -m benchmarks.measures --part gpu           the same cases on a GPU, where one is at hand
    python -m benchmarks.measures --part               only the tables again, from what was timed before

Times are the best of a few runs. A peer that would take minutes is timed on as many pairs as fit into --budget
seconds, or on fewer frames, and scaled: such times are marked.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.measures import records, table
from benchmarks.measures.data import CASES, QUICK, Case
from benchmarks.measures.ours import MEASURES
from benchmarks.measures.records import ROOT, Record
from benchmarks.measures.reference import values
from benchmarks.measures.worker import load, store
from benchmarks.peers import METHODS, Method, peers_python

RESULTS = ROOT / "docs" / "results" / "measures"
PARTS = ("speed", "pass", "growth", "differences", "gpu")
GROWTH_FRAMES = (10_000, 100_000, 1_000_000)
GROWTH_WIDTHS = (256,) * 12
BESIDE = {"B": 2}  # how many of the fastest right peers of case A are timed where; one where nothing is said
LONGEST = 1800  # seconds; no job may take longer


class Bench:
    """A run: its jobs, one after another, and the records that they leave."""

    def __init__(self, options: argparse.Namespace, folder: Path, arguments: list[str]) -> None:
        self.options, self.folder = options, folder
        self.cases: dict[str, Case] = QUICK if options.quick else CASES
        self.environment = records.environment(arguments)
        self.made: list[Record] = [self.environment]
        self.before = records.read(options.out / "runs.jsonl") if options.write else []
        self.references: dict[tuple[str, int | None], dict[str, list[float]]] = {}

    def job(self, python: str, threads: int, **job: Any) -> Record:
        """Run a job and return its record; where it fails, a record that says so."""
        job = {"quick": self.options.quick, "data": str(self.folder), "threads": threads, **job}
        count = str(threads)
        fixed = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), count)
        command = [python, "-m", "benchmarks.measures.worker", json.dumps(job)]
        environment = {**os.environ, **fixed, "PYTHONWARNINGS": "ignore"}
        try:
            done = subprocess.run(
                command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=LONGEST, check=False
            )
        except subprocess.TimeoutExpired:
            return {"failed": f"not done after {LONGEST} s"}
        if done.returncode:
            last = (done.stderr.strip() or f"exit {done.returncode}").splitlines()[-1]
            return {"failed": last[:200]}
        found: Record = json.loads(done.stdout.strip().splitlines()[-1])
        return found

    def add(self, found: Record, **about: Any) -> Record:
        """Keep a record, with what it is of and its error against the reference."""
        record = {**about, "run": self.environment["run"], **found}
        made = record.pop("values", None)
        if made is not None:
            reference = self.reference(about["case"], record.get("frames"))
            record["errors"] = {name: _error(got, reference.get(_truth(name))) for name, got in made.items()}
        self.made.append(record)
        seconds = f"{record['cpu']:.2f} s CPU, {record['wall']:.2f} s" if "cpu" in record else ""
        told = record.get("failed") or record.get("absent") or seconds
        print(" ".join(str(v) for v in about.values() if v is not None), "·", told, flush=True)
        self.write()
        return record

    def write(self) -> None:
        """The tables so far: a run that is killed loses nothing that was timed."""
        if self.options.write:
            found = records.merged(self.before, self.made)
            records.write(self.options.out / "runs.jsonl", found)
            table.write(self.options.out, found)

    def reference(self, case: str, frames: int | None) -> dict[str, list[float]]:
        """The right values of the checked pairs, worked out once."""
        frames = None if frames in (None, self.cases[case].frames) else frames
        if (case, frames) not in self.references:
            data = load(self.cases[case], self.folder)
            self.references[case, frames] = values(self.cases[case], data, frames)
        return self.references[case, frames]

    # The parts

    def speed(self) -> None:
        """Our measures and the peers', measure by measure, so that a machine that slows down slows both."""
        for case in self.options.case:
            self.data(case)
            for threads in self.options.threads:
                if threads > 1 and case != "A":
                    continue
                for measure in MEASURES:
                    if self.options.measure and measure not in self.options.measure:
                        continue
                    if self.wanted("otoscope"):
                        self.ours(case, measure, threads)
                    for method in self.peers(case, measure, threads):
                        self.peer(case, method, threads)

    def wanted(self, name: str) -> bool:
        """Whether --method leaves it in."""
        return not self.options.method or any(part.lower() in name.lower() for part in self.options.method)

    def data(self, case: str) -> None:
        """Make a case's data once."""
        if not (self.folder / f"{case}.json").exists():
            store(self.cases[case], self.folder)

    def ours(self, case: str, measure: str, threads: int) -> None:
        """One of ours."""
        found = self.job(sys.executable, threads, kind="ours", case=case, measure=measure)
        self.add(found, kind="speed", case=case, name="otoscope", measure=measure, threads=threads)

    def peer(self, case: str, method: Method, threads: int) -> None:
        """One of the peers."""
        found = self.job(peers_python(), threads, kind="peer", case=case, method=method.key, budget=self.options.budget)
        about = {"computes": method.computes, "precision": method.precision, "wrong": method.wrong}
        about = {**about, "careful": method.careful}
        named = {"kind": "speed", "case": case, "name": method.name, "measure": method.measure, "threads": threads}
        self.add({**about, **found}, **named)

    def peers(self, case: str, measure: str, threads: int) -> list[Method]:
        """All peers in case A on one thread; elsewhere the fastest of these that are right."""
        chosen = [m for m in METHODS if m.measure == measure and self.wanted(m.key)]
        if self.options.no_peers:
            return []
        if (case == "A" and threads == 1) or self.options.method:
            return chosen
        timed = [
            r
            for r in records.merged(self.before, self.made)
            if r["kind"] == "speed" and (r["case"], r["threads"], r["measure"]) == ("A", 1, measure) and table.right(r)
        ]
        others = [r for r in sorted(timed, key=lambda r: r["cpu"]) if r["name"] != "otoscope"]
        fastest = [r["name"] for r in others if not r.get("careful")][: BESIDE.get(case, 1)]
        return [m for m in chosen if m.name in fastest or m.careful] if timed else chosen

    def passes(self) -> None:
        """The accumulation pass alone."""
        for case in [c for c in self.options.case if c != "C"]:
            self.data(case)
            for threads in self.options.threads:
                found = self.job(sys.executable, threads, kind="accumulation", case=case)
                self.add(found, kind="pass", case=case, threads=threads)

    def growth(self) -> None:
        """Time and memory with more and more speech."""
        frames = (5_000,) if self.options.quick else GROWTH_FRAMES
        widths = (24,) * 3 if self.options.quick else GROWTH_WIDTHS
        for n in frames:
            threads = max(self.options.threads)
            found = self.job(sys.executable, threads, kind="growth", frames=n, widths=widths)
            self.add(found, kind="growth", threads=threads, frames_streamed=n)

    def differences(self) -> None:
        """The cases that others get wrong."""
        python = sys.executable if self.options.no_peers else peers_python()
        found = {}
        for side, interpreter in (("right", sys.executable), ("ours", sys.executable), ("peers", python)):
            command = [interpreter, "-m", "benchmarks.measures.differences", side]
            environment = {**os.environ, "PYTHONWARNINGS": "ignore", "OMP_NUM_THREADS": "1"}
            done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
            if done.returncode:
                raise RuntimeError(f"differences, {side}: {done.stderr.strip().splitlines()[-1]}")
            found[side] = json.loads(done.stdout.strip().splitlines()[-1])
        self.made.append({"kind": "differences", "run": self.environment["run"], **found})
        print(f"differences · {len(found['ours'])} cases", flush=True)

    def gpu(self) -> None:
        """The pass and the measures on a GPU, where torch finds one."""
        for case in self.options.case:
            self.data(case)
            found = self.job(sys.executable, os.cpu_count() or 1, kind="gpu", case=case)
            self.add(found, kind="gpu", case=case, device="cuda")


def _truth(name: str) -> str:
    """The reference that a measure is an estimate of."""
    return {"cka-minibatch": "cka-debiased"}.get(name, name)


def _error(found: list[float | None], reference: list[float] | None) -> float | None:
    """The largest difference from the reference, over the pairs that were made."""
    if reference is None:
        return None
    differences = [abs(a - b) for a, b in zip(found, reference, strict=True) if a is not None]
    return math.nan if any(map(math.isnan, differences)) else max(differences, default=math.nan)


def options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "python -m benchmarks.measures", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="tiny layers, a second or two for each job")
    parser.add_argument("--part", nargs="*", choices=PARTS, help="what to run (default: all but gpu)")
    parser.add_argument("--case", nargs="+", choices=list(CASES), default=list(CASES))
    parser.add_argument("--measure", nargs="+", choices=MEASURES, default=[])
    parser.add_argument("--method", nargs="+", default=[], help="parts of names, such as otoscope or pytorch-cka")
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--budget", type=float, help="seconds for each peer (default: 8)")
    parser.add_argument("--no-peers", action="store_true", help="our side only")
    parser.add_argument("--out", type=Path, help="the folder of the tables (default: docs/results/measures)")
    chosen = parser.parse_args(arguments)
    chosen.budget = chosen.budget or (0.5 if chosen.quick else 8.0)
    if chosen.part is None:  # one measure or method, or one case, is asked for on account of its speed
        few = 1 if chosen.measure or chosen.method else 2 if chosen.case != list(CASES) else 4
        chosen.part = list(PARTS[:few])
    chosen.write = chosen.out is not None or not chosen.quick
    chosen.out = chosen.out or RESULTS
    return chosen


def main(arguments: list[str]) -> int:
    chosen = options(arguments)
    with tempfile.TemporaryDirectory(prefix="otoscope-bench-") as folder:
        bench = Bench(chosen, Path(folder), arguments)
        parts = {"speed": bench.speed, "pass": bench.passes, "growth": bench.growth}
        parts.update(differences=bench.differences, gpu=bench.gpu)
        for part in chosen.part:
            parts[part]()
            bench.write()
    if chosen.write and not chosen.part:
        table.write(chosen.out, bench.before)
    failed = [r for r in bench.made if r.get("failed") and r.get("name", "otoscope") == "otoscope"]
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
