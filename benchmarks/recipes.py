"""Error rates of a recipe: trains every run of recipes/<name>.toml, scores test once, writes docs/results/recipes/.

    .venv/bin/python benchmarks/recipes.py an4 [--seeds 0 1 2] [--recognisers conformer lstm] [--workers N] [--out DIR]

The corpus is the recipe's, or `$OTOSCOPE_CORPORA/<corpus>`, else ../shared/corpora/<corpus>, where there is one. Runs
that are finished in the folder are read, not trained again; one that was stopped goes on. Each worker is one process of
one thread.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
from pathlib import Path
from typing import Any

from otoscope.asr import read_log
from otoscope.study import StudyConfig, train_recognisers

ROOT = Path(__file__).resolve().parents[1]
TABLES = ROOT / "docs" / "results" / "recipes"
GREEDY, NGRAM = "greedy", "ngram"
MEANT = {"an4": {GREEDY: 0.10, NGRAM: 0.06}}
"""The test WER that a recipe is meant to reach, mean over seeds."""


def recipe(
    name: str,
    seeds: list[int] | None,
    recognisers: list[str] | None,
    *,
    measures: list[str] | None = None,
    main_only: bool = False,
) -> StudyConfig:
    """The recipe, on a corpus that lies here where there is one: all of it, or some of its runs and measures, or
    without further probe sets and content."""
    asked = StudyConfig.read(ROOT / "recipes" / f"{name}.toml")
    here = Path(os.environ.get("OTOSCOPE_CORPORA", ROOT.parent / "shared" / "corpora")) / asked.corpus
    some = {n: r for n, r in asked.recognisers.items() if not recognisers or n in recognisers}
    fields = asked.model_dump(exclude_none=True) | {"seeds": seeds or asked.seeds}
    if measures:
        fields["measures"] = measures
    if main_only:
        fields |= {"probes": {}, "content": []}
    fields["recognisers"] = {n: r.model_dump(exclude_none=True) for n, r in some.items()}
    return StudyConfig.of(**fields | ({"corpus": str(here)} if here.is_dir() else {}))


def progress(what: str, done: int, total: int) -> None:
    if sys.stderr.isatty():
        print(f"\r{what}: {done} of {total}    ", end="", file=sys.stderr, flush=True)


def runs_of(folder: Path, about: dict[str, Any]) -> list[dict[str, Any]]:
    """One row a run, from the manifest and the run's log."""
    rows = []
    for entry in about["recognisers"]:
        run = f"{entry['name']}/seed{entry['seed']}"
        log = read_log(folder / "recognisers" / run)
        last = [row for row in log if row["kind"] == "checkpoint"][-1]
        rows.append(
            {
                "run": run,
                "recogniser": entry["name"],
                "parameters": entry["parameters"],
                "updates": last["step"],
                "minutes": last["seconds"] / 60,
                "processor": last["cpu_seconds"] / 60,
                "dev": last["final_dev_wer"],
                GREEDY: entry["test_wer"],
                "cer": entry["test_cer"],
                NGRAM: entry.get("ngram", {}).get("test_wer"),
                "attention": entry.get("attention", {}).get("test_wer"),
            }
        )
    return rows


def percent(values: list[float | None]) -> str:
    """Mean, and the lowest and highest of several."""
    known = [v for v in values if v is not None]
    if not known:
        return "–"
    mean = f"{statistics.mean(known):.1%}"
    return mean if len(known) == 1 else f"{mean} ({min(known):.1%} to {max(known):.1%})"


def table(rows: list[dict[str, Any]]) -> list[str]:
    lines = [
        "| recogniser | weights | seeds | dev WER | test WER, greedy | test CER, greedy | test WER, n-gram | "
        "test WER, attention | minutes a run, at most | of a processor |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name in dict.fromkeys(row["recogniser"] for row in rows):
        own = [row for row in rows if row["recogniser"] == name]
        cells = [percent([row[key] for row in own]) for key in ("dev", GREEDY, "cer", NGRAM, "attention")]
        minutes, processor = (max(row[key] for row in own) for key in ("minutes", "processor"))
        lines.append(
            f"| {name} | {own[0]['parameters'] / 1e6:.2f} M | {len(own)} | {' | '.join(cells)} | {minutes:.1f} | "
            f"{processor:.1f} |"
        )
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipe", help="the name of a file in recipes/")
    parser.add_argument("--seeds", type=int, nargs="+")
    parser.add_argument("--recognisers", nargs="+")
    parser.add_argument("--workers", type=int)
    parser.add_argument("--out", type=Path, help="the study's folder (default: studies/recipe-<name>)")
    asked = parser.parse_args()
    folder = asked.out or ROOT / "studies" / f"recipe-{asked.recipe}"
    config = recipe(asked.recipe, asked.seeds, asked.recognisers)
    train_recognisers(config, folder, workers=asked.workers, command=sys.argv, progress=progress)
    about = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    rows = runs_of(folder, about)
    command = " ".join(["python", "benchmarks/recipes.py", *sys.argv[1:]])
    splits = ", ".join(
        f"{n} {s['hours']:.2f} h ({s['speakers']} speakers)" for n, s in about["corpus"]["splits"].items()
    )
    text = [
        f"# The recipe {asked.recipe}",
        "",
        f"Written by `{command}`. Test is scored once, with the final model; every choice, that of the weights of the",
        "language model too, is made on dev. Means over seeds, with the lowest and the highest.",
        "",
        f"- Machine: {about['host']['machine']}; one thread a run",
        f"- Versions: {', '.join(f'{k} {v}' for k, v in about['versions'].items())}",
        f"- Date: {about['finished'][:10]}; commit {str(about['git'])[:12]}",
        f"- Speech: {splits}",
        "",
        *table(rows),
        "",
        "Minutes are those of training, checkpoints scored on dev included; those of a processor are what it took of",
        "one, whatever ran beside it.",
        "",
        "| run | updates | minutes | dev WER | test WER, greedy | test WER, n-gram |",
        "|---|---|---|---|---|---|",
        *(
            f"| {row['run']} | {row['updates']} | {row['minutes']:.1f} | "
            f"{' | '.join(percent([row[key]]) for key in ('dev', GREEDY, NGRAM))} |"
            for row in rows
        ),
        "",
    ]
    TABLES.mkdir(parents=True, exist_ok=True)
    (TABLES / f"{asked.recipe}.md").write_text("\n".join(text), encoding="utf-8")
    print("\n".join(text))
    missed = []
    for name in dict.fromkeys(row["recogniser"] for row in rows):
        for way, most in MEANT.get(asked.recipe, {}).items():
            values = [row[way] for row in rows if row["recogniser"] == name and row[way] is not None]
            if values and statistics.mean(values) > most:
                missed.append(f"{name}, {way}: test WER {statistics.mean(values):.1%}, meant at most {most:.0%}")
    print("\n".join(missed), file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
