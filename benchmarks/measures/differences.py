"""The cases that others get wrong: right answer, ours, theirs. `__main__` runs both sides and writes the table."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from benchmarks.measures import situations as s
from benchmarks.measures.records import Record

__all__ = ["CASES", "page"]


@dataclass(frozen=True)
class Difference:
    """A case in words, and the right answer."""

    title: str
    right: Callable[[], str]


def text(answer: str) -> Callable[[], str]:
    return lambda: answer


def _f(value: float) -> str:
    return f"{value:.3f}"


def _steep() -> str:
    x, y = s.steep()
    return f"{_f(s.cca(x, y, 0.99))}, of {s.bases(x, 0.99).shape[1]} and {s.bases(y, 0.99).shape[1]} components"


def _utterances() -> str:
    return _f(s.between_cka(*s.utterance_factors(), s.LENGTHS))


def _labels() -> str:
    p, q, r = s.three_layers()
    return f"(p, q) {_f(s.between_cka(p, q, s.LENGTHS))}; (q, r) {_f(s.between_cka(q, r, s.LENGTHS))}"


def _empty() -> str:
    x, y, _ = s.units_that_say_nothing()
    return f"cca {_f(s.cca(x, y))}; pwcca {_f(s.pwcca(x, y))}"


CASES = {
    "few-frames": Difference(
        "fewer frames (80) than units (100), independent", text("nothing in common; CCA cannot be measured")
    ),
    "three-frames-a-unit": Difference(
        "300 frames of 100 units, independent", text("nothing in common: mean ρ ≈ 0.5 by chance alone")
    ),
    "low-rank": Difference("rank 20 in 40 units, and a rotated copy", text("1")),
    "empty-units": Difference("dead, constant and duplicated units", _empty),
    "constant-layer": Difference("a constant layer", text("none: an error that names the layer")),
    "nan": Difference("one NaN in 500 frames", text("none: an error that names the layer")),
    "large-mean": Difference(
        "float32 with mean 300 and deviation 1",
        lambda: f"debiased {_f(s.debiased_cka(*s.large_mean()))}; biased {_f(s.cka(*s.large_mean()))}",
    ),
    "half-precision": Difference(
        "float16 of deviation 20",
        lambda: f"debiased CKA {_f(s.debiased_cka(*s.half_precision()))}; CCA cannot be measured on 500 frames",
    ),
    "scale": Difference(
        "scaled by 1, 0.001 and 1e-6",
        lambda: f"debiased CKA {_f(s.debiased_cka(*s.ordinary()))}, CCA {_f(s.cca(*s.ordinary()))}, three times",
    ),
    "svcca-itself": Difference("SVCCA of a layer with itself", text("1")),
    "svcca-cut": Difference("SVCCA of layers whose variances fall steeply, with offsets", _steep),
    "pwcca-shift": Difference("PWCCA of x, x + 3 and x + 30", lambda: f"{_f(s.pwcca(*s.ordinary()))}, three times"),
    "pwcca-wider": Difference(
        "PWCCA where the first layer is wider (40 against 20 units), and the other way",
        lambda: ", ".join(_f(s.pwcca(*z)) for z in (s.wider_first(), s.wider_first()[::-1])),
    ),
    "shuffling-loader": Difference("one layer in two models with one shuffling loader", text("1")),
    "utterance-batches": Difference("batches of one utterance each; what is shared differs between them", _utterances),
    "last-batch": Difference(
        "alike in all batches but the last", lambda: _f(s.between_cka(*s.last_batch_differs(), s.LENGTHS))
    ),
    "padding": Difference("unrelated layers, padded utterances", text("0")),
    "flattening": Difference("the same, each utterance's frames × units as one row", text("0")),
    "clamping": Difference("unrelated layers, 200 draws", text("mean 0")),
    "labels": Difference("layers that run in another order than they are registered in", _labels),
    "call-to-call": Difference(
        "the angle between two layers, asked twice",
        lambda: f"{s.angle(s.ordinary()[0], s.ordinary()[1][:, :24]):.4f}",
    ),
    "minibatch-bias": Difference("unrelated layers, 2,048 frames of 128 units", text("0")),
    "debiased-rotation": Difference("debiased CKA of 100 frames of 100 units with a rotated copy", text("1")),
    "cca-wider": Difference("mean CCA of 40 units with a linear map of them to 20", text("1")),
    "centring": Difference(
        "unrelated layers with offsets", lambda: f"0 (biased: {_f(s.cka(*s.unrelated_with_offsets()))})"
    ),
}


def page(record: Record, runs: list[str]) -> str:
    """The table."""
    lines = [
        "# Cases that others get wrong",
        "",
        "Written by `make bench`. Every answer was computed in this run, from the same data; a formula in numpy stands",
        "for what is published and not in a registry. [What lies behind each](../../differences.md).",
        "",
        *runs,
        "| case | right | otoscope | others |",
        "|---|---|---|---|",
    ]
    for name, case in CASES.items():
        others = "<br>".join(f"{who}: {said}" for who, said in record["peers"].get(name, {}).items()) or "–"
        cells = (case.title, record["right"][name], record["ours"][name], others)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def main(side: str) -> Record:
    """One side's answers, in the environment that has it."""
    if side == "ours":
        from benchmarks.measures.differences_ours import ANSWERS

        return {name: ANSWERS[name]() for name in CASES}
    if side == "right":
        return {name: case.right() for name, case in CASES.items()}
    from benchmarks.measures.differences_peers import ANSWERS as THEIRS

    return {name: THEIRS[name]() for name in CASES}


if __name__ == "__main__":
    np.seterr(all="ignore")
    print(json.dumps(main(sys.argv[1])))
