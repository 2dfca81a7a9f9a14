"""How often each finding's verdict is right on constructed studies: docs/results/findings/detectors.md.

    OMP_NUM_THREADS=1 .venv/bin/python -m benchmarks.detectors [--draws 200] [--only F1 F2] [--workers N]

Each draw is a study of representations drawn at random, with a finding's pattern built in or without it
(tests/study/findings/patterns*.py), measured by linear CKA over utterances with left-out blocks of speech, as a real
study is. Exits with 1 where a verdict is right in fewer than 95 % of draws. Some minutes a finding on one core; what
was counted is kept in records/ beside the table, so that one finding can be counted anew.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from pathlib import Path

from benchmarks.about import made_by
from tests.study.findings import PATTERNS

from otoscope.files import write_bytes
from otoscope.study.findings import QUESTIONS, find_all

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "docs" / "results" / "findings"
ENOUGH = 0.95
RIGHT: Mapping[bool, str] = {True: "holds", False: "does not hold"}


def verdict(id: str, built_in: bool, seed: int) -> str:
    """What is found in one constructed study; of several that a question is put to, in the first."""
    build = PATTERNS[id][0 if built_in else 1]
    questions = [q for q in QUESTIONS if q.id == id.removeprefix("F10-")]
    found = find_all(build(seed), questions=questions, robustness=id.startswith("F10-"))
    return found[id][0].verdict


def count(id: str, draws: int, workers: int) -> dict[str, dict[str, int]]:
    """Verdicts with the pattern and without it."""
    found = {}
    with ProcessPoolExecutor(workers) as pool:
        for built_in in RIGHT:
            verdicts = pool.map(verdict, repeat(id), repeat(built_in), range(draws), chunksize=5)
            found["built in" if built_in else "not built in"] = dict(Counter(verdicts))
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--only", nargs="+", choices=list(PATTERNS), default=list(PATTERNS))
    parser.add_argument("--workers", type=int, default=2)
    asked = parser.parse_args()
    records = OUT / "records"
    records.mkdir(parents=True, exist_ok=True)
    command = " ".join(["python -m benchmarks.detectors", *sys.argv[1:]])
    for id in asked.only:
        began = time.monotonic()
        found = count(id, asked.draws, asked.workers)
        record = {
            "verdicts": found,
            "draws": asked.draws,
            "made by": made_by(command, seconds=time.monotonic() - began),
        }
        write_bytes(records / f"detector-{id}.json", (json.dumps(record, indent=1, ensure_ascii=False) + "\n").encode())
        print(id, found, flush=True)
    return write(records)


def write(records: Path) -> int:
    """The table of all that was counted; 1 where a verdict is right too seldom."""
    lines = [
        "# Detectors on constructed studies",
        "",
        "Representations drawn at random, with a finding's pattern built in and without it; how often the verdict is",
        "*holds* in the first case and *does not hold* in the second. The others are nearly all *not enough data*: how",
        "often a verdict is the wrong one is given too.",
        "",
        "| question | draws each | built in: *holds* | built in, wrong | not built in: *does not hold* | not built in, "
        "wrong |",
        "|---|---|---|---|---|---|",
    ]
    missed = 0
    made: dict[str, list[str]] = {}
    for id in PATTERNS:
        path = records / f"detector-{id}.json"
        if not path.is_file():
            continue
        record = json.loads(path.read_text(encoding="utf-8"))
        cells, draws = [], record["draws"]
        for built_in, name in ((True, "built in"), (False, "not built in")):
            verdicts = record["verdicts"][name]
            right = verdicts.get(RIGHT[built_in], 0) / draws
            cells += [f"{right:.1%}", f"{verdicts.get(RIGHT[not built_in], 0) / draws:.1%}"]
            missed += right < ENOUGH
        lines.append(f"| {id} | {draws} | {' | '.join(cells)} |")
        made.setdefault("\n".join(record["made by"][2:]), []).append(id)
    lines += ["", "## Made by", ""]
    for about, ids in made.items():
        lines += [f"{', '.join(ids)}:", "", about, ""]
    write_bytes(OUT / "detectors.md", ("\n".join(lines[:-1]) + "\n").encode())
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
