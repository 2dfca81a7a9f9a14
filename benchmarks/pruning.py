"""Advice on pruning, for pretrained models and for runs of the AN4 recipe: docs/results/advice/pruning.md.

    .venv/bin/python -m benchmarks.pruning [--models NAME …] [--study studies/recipe-an4] [--runs RUN …]
        [--utterances N] [--most K] [--random N] [--out FILE]

Pretrained models (tests/weights.py) are scored on the test split of librispeech-mini, runs of the recipe on that of
AN4; blocks are chosen on three probe sets: the speech that is scored, the training split of its corpus, and another
corpus. Speech is in $OTOSCOPE_CORPORA, else ../shared/corpora. Whisper base takes an hour of a core, since it encodes
30 s for every utterance; transcripts are kept in studies/pruning, so that a run that was stopped goes on.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from benchmarks.about import made_by
from benchmarks.pretrained.models import CORPORA, MODELS, ROOT

from otoscope import Corpus, Pruned, Pruning, Recogniser, advise_prune, load, load_recogniser
from otoscope.advice.prune.errors import Rate
from otoscope.files import write_bytes

TABLE = ROOT / "docs" / "results" / "advice" / "pruning.md"
KEPT = ROOT / "studies" / "pruning"
MEASURES = ("cka", "cosine", "procrustes")
POINT = 0.01
PRUNABLE = ("whisper-tiny.en", "whisper-base", "moonshine-base")


def recognisers(
    models: Sequence[str], study: Path | None, runs: Sequence[str]
) -> Iterator[tuple[str, str, Recogniser]]:
    """Each with its name and the corpus that it is scored on."""
    for name in models:
        yield name, "librispeech-mini", MODELS[name].load()
    for run in runs:
        assert study is not None
        last = max((study / "recognisers" / run / "checkpoints").glob("*.safetensors"))
        yield run, "an4", load_recogniser(last)


def probes(corpus: str) -> Mapping[str, Corpus]:
    """The speech that blocks are chosen on."""
    own, other = load(CORPORA / corpus), load(CORPORA / ("an4" if corpus != "an4" else "librispeech-mini"))
    return {
        f"{corpus}, test": own.split("test"),
        f"{corpus}, train": own.split("train"),
        f"{other.name}, test": other.split("test"),
    }


def span(rate: Rate, *, signed: bool = True) -> str:
    if not np.isfinite(rate.value):
        return "–"
    sign = "+" if signed else ""
    ends = f" [{100 * rate.low:{sign}.1f}, {100 * rate.high:{sign}.1f}]" if np.isfinite(rate.low) else ""
    return f"{100 * rate.value:{sign}.1f}{ends}"


def described(name: str, found: Mapping[str, Pruning]) -> list[str]:
    """One recogniser: what each way leaves out and costs, on each probe set, and what can be left out for a point."""
    first = next(iter(found.values()))
    lines = [
        f"## {name}",
        "",
        f"{len(first.blocks)} blocks, {first.parameters / 1e6:.1f} M parameters; word error rate "
        f"{span(first.whole, signed=False)} % on {first.words} words of {first.utterances} utterances of "
        f"{first.corpus}.",
        "",
        "| blocks out | chosen by | on | WER, % | rise, points | expected | against chance, points | which |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for count in sorted({row.count for row in first.rows}):
        plain = [row for row in first.rows if row.count == count and row.way not in first.measures]
        lines += [table_row(row, "–") for row in plain if not row.way.startswith("random")]
        chance = [100 * row.wer.value for row in plain if row.way.startswith("random")]
        if chance:
            spread = f"{np.mean(chance):.1f} ({min(chance):.1f} to {max(chance):.1f})"
            lines.append(f"| {count} | chance, {len(chance)} draws | – | {spread} | | | | |")
        for on, own in found.items():
            lines += [table_row(row, on) for row in own.rows if row.count == count and row.way in own.measures]
    lines.append("")
    for on, own in found.items():
        best = own.best(POINT)
        told = f"{best.count} ({span(best.rise)} points, {best.encoder_time:.0%} of the time)" if best else "none"
        lines.append(f"Blocks that `{own.measures[0]}` leaves out within a point, chosen on {on}: {told}.\n")
    return lines


def table_row(row: Pruned, on: str) -> str:
    expected = f"{100 * row.predicted:.1f}" if np.isfinite(row.predicted) else "–"
    which = " ".join(block.rpartition(".")[2] for block in row.blocks)
    rates = f"{span(row.wer, signed=False)} | {span(row.rise)} | {expected} | {span(row.beyond_chance)}"
    return f"| {row.count} | {row.way} | {on} | {rates} | {which} |"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="*", choices=PRUNABLE, default=list(PRUNABLE))
    parser.add_argument("--study", type=Path)
    parser.add_argument("--runs", nargs="*", default=[])
    parser.add_argument("--utterances", type=int, default=300)
    parser.add_argument("--most", type=int)
    parser.add_argument("--random", type=int, default=5)
    parser.add_argument("--out", type=Path, default=TABLE)
    asked = parser.parse_args()
    began = time.monotonic()
    lines = [
        "# Pruning",
        "",
        "Blocks of encoders left out without training, chosen in one pass over speech by what they change least,",
        "beside choices that know nothing of similarity. Word error rates after OpenAI's English normaliser, with",
        "95 % intervals over speakers; against chance: less the mean of the random choices, below 0 where the way is",
        "better.",
        "[Advice](../../advice.md) says how.",
        "",
    ]
    for name, corpus, recogniser in recognisers(asked.models, asked.study, asked.runs):
        found = {}
        for on, speech in probes(corpus).items():
            found[on] = advise_prune(
                recogniser,
                corpus=load(CORPORA / corpus).split("test"),
                chosen_on=speech,
                measures=MEASURES,
                most=asked.most,
                random=asked.random,
                utterances=asked.utterances,
                folder=KEPT / name.replace("/", "."),
            )
            print(name, on, f"{time.monotonic() - began:.0f} s", flush=True)
        lines += described(name, found)
    command = " ".join(["python -m benchmarks.pruning", *sys.argv[1:]])
    lines += made_by(command, seconds=time.monotonic() - began)
    write_bytes(asked.out, ("\n".join(lines) + "\n").encode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
