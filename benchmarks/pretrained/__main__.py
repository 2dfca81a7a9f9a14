"""Pretrained recognisers, looked into on real speech: pages and figures in docs/results/pretrained/.

    python -m benchmarks.pretrained [--models NAME …] [--only SECTION …] [--utterances N] [--out FOLDER] [--pages]

Sections: wer (error rates on the test split), overhead (what capture costs), phones (what each layer tells of phones),
dominance (layers ruled by one direction or few frames), layers (heatmaps with 95 % intervals), pairs (layers of one
model against another's). Weights come from packages of the Python Package Index (tests/weights.py), speech from
$OTOSCOPE_CORPORA, else ../shared/corpora. About a quarter of an hour on one thread of a quiet machine; each section
writes its page after each model, so that a run which was stopped loses little, and a later one with --models and
--only adds to the same pages; --pages runs nothing and only writes them from the records. Exits with 1 where a result
is not what it is meant to be.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path

import torch
from benchmarks.pretrained.models import MODELS, ROOT
from benchmarks.pretrained.records import Records

SECTIONS = ("wer", "overhead", "phones", "dominance", "layers", "pairs")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pretrained", description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", choices=list(MODELS), default=list(MODELS))
    parser.add_argument("--only", type=lambda names: names.split(","), default=list(SECTIONS), metavar="SECTION,…")
    parser.add_argument("--utterances", type=int, help="of each section, at most")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "results" / "pretrained")
    parser.add_argument("--pages", action="store_true", help="write the pages from the records, run nothing")
    asked = parser.parse_args()
    if unknown := set(asked.only) - set(SECTIONS):
        parser.error(f"no section {', '.join(sorted(unknown))}: there are {', '.join(SECTIONS)}")
    torch.set_num_threads(1)
    records = Records(asked.out)
    wrong: list[str] = []
    for section in (section for section in SECTIONS if section in asked.only):
        module = importlib.import_module(f"benchmarks.pretrained.{section}")
        if asked.pages:
            module.write(records)
        else:
            wrong += module.run(asked.models, asked.utterances, records)
    for line in wrong:
        print(line, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
