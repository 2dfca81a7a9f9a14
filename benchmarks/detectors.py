"""How often each finding's verdict is right on constructed studies: docs/results/findings/detectors.md.

    OMP_NUM_THREADS=1 .venv/bin/python -m benchmarks.detectors [--draws 200] [--only F1 F2] [--workers N]

Each draw is a study of representations drawn at random, with a finding's pattern built in or without it
(tests/study/findings/patterns*.py), measured by linear CKA over utterances with left-out blocks of speech, as a real
study is. Exits with 1 where a verdict is right in fewer than 95 % of draws. Some minutes a finding on one core; what
was counted is kept in records/ beside the table, so that one finding can be counted anew.
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from itertools import repeat
from pathlib import Path

from benchmarks.about import made_by
from tests.study.findings import PATTERNS

from otoscope.files import write_bytes
from otoscope.study.findings import QUESTIONS, find_all
from otoscope.study.results import Results

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "docs" / "results" / "findings"
ENOUGH = 0.95
Builder = Callable[[int], Results]
RIGHT: Mapping[bool, str] = {True: "holds", False: "does not hold"}
NAMES: Mapping[bool, str] = {True: "built in", False: "not built in"}


def studies(ids: Collection[str]) -> dict[Builder, list[tuple[str, bool]]]:
    """What builds the studies, and of which questions they have the pattern (True) or lack it: some tell of several."""
    told: dict[Builder, list[tuple[str, bool]]] = {}
    for id in ids:
        for build, built_in in zip(PATTERNS[id], RIGHT, strict=True):
            told.setdefault(build, []).append((id, built_in))
    return told


def verdicts(build: Builder, ids: Sequence[str], seed: int) -> list[str]:
    """What is found in one constructed study; of several that a question is put to, in the first."""
    results = build(seed)
    found = [verdict(results, id) for id in ids]
    if seed % 10 == 9:
        gc.collect()  # now and then: the collector took a fifth of the time where it ran as it pleases
    return found


def verdict(results: Results, id: str) -> str:
    """The verdict on one question, or on its robustness; it does not go by baselines, which take time."""
    of = id.removeprefix("F10-")
    questions = [replace(q, baselines={}, shuffle=None) for q in QUESTIONS if q.id == of]
    return find_all(results, questions=questions, robustness=id.startswith("F10-"))[id][0].verdict


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--only", nargs="+", choices=list(PATTERNS), default=list(PATTERNS))
    parser.add_argument("--workers", type=int, default=2)
    asked = parser.parse_args()
    records = OUT / "records"
    records.mkdir(parents=True, exist_ok=True)
    command = " ".join(["python -m benchmarks.detectors", *sys.argv[1:]])
    found: dict[str, dict[str, dict[str, int]]] = {id: {} for id in asked.only}
    with ProcessPoolExecutor(asked.workers, initializer=gc.disable) as pool:
        for build, told in studies(asked.only).items():
            began = time.monotonic()
            ids = [id for id, _ in told]
            drawn = list(pool.map(verdicts, repeat(build), repeat(ids), range(asked.draws), chunksize=5))
            seconds = time.monotonic() - began
            for (id, built_in), own in zip(told, zip(*drawn, strict=True), strict=True):
                found[id][NAMES[built_in]] = dict(Counter(own))
                print(f"{id}, {NAMES[built_in]}: {found[id][NAMES[built_in]]} ({seconds:.0f} s)", flush=True)
                if len(found[id]) == len(NAMES):
                    record = {"verdicts": found[id], "draws": asked.draws, "made by": made_by(command)}
                    text = json.dumps(record, indent=1, ensure_ascii=False)
                    write_bytes(records / f"detector-{id}.json", f"{text}\n".encode())
    return write(records)


def runs_of(id: str) -> int:
    """In each of the studies."""
    return len(PATTERNS[id][0](0).runs)


def write(records: Path) -> int:
    """The table of all that was counted; 1 where a verdict is right too seldom."""
    lines = [
        "# Detectors on constructed studies",
        "",
        "Representations drawn at random, with a finding's pattern built in and without it; how often the verdict is",
        "*holds* in the first case and *does not hold* in the second. The others are nearly all *not enough data*: how",
        "often a verdict is the wrong one is given too.",
        "",
        "| question | runs in a study | draws each | built in: *holds* | built in, wrong | "
        "not built in: *does not hold* | not built in, wrong |",
        "|---|---|---|---|---|---|---|",
    ]
    missed = 0
    made: dict[str, list[str]] = {}
    for id in PATTERNS:
        path = records / f"detector-{id}.json"
        if not path.is_file():
            continue
        record = json.loads(path.read_text(encoding="utf-8"))
        cells, draws = [], record["draws"]
        for built_in, name in NAMES.items():
            verdicts = record["verdicts"][name]
            right = verdicts.get(RIGHT[built_in], 0) / draws
            cells += [f"{right:.1%}", f"{verdicts.get(RIGHT[not built_in], 0) / draws:.1%}"]
            missed += right < ENOUGH
        lines.append(f"| {id} | {runs_of(id)} | {draws} | {' | '.join(cells)} |")
        made.setdefault("\n".join(record["made by"][2:]), []).append(id)
    lines += ["", "## Made by", ""]
    for about, ids in made.items():
        lines += [f"{', '.join(ids)}:", "", about, ""]
    write_bytes(OUT / "detectors.md", ("\n".join(lines[:-1]) + "\n").encode())
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
