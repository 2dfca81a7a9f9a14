"""A study's results as data: the numbers behind the figures, for one's own analysis.

    python examples/read_results.py STUDY

STUDY is a folder that `otoscope study` wrote. Prints, for each run, its error rate, how alike different layers are
before and after training and with utterances shuffled, and when each layer last differed from its final state.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import xarray as xr

from otoscope import Results

CONVERGED = 0.9


def off_diagonal(matrix: xr.DataArray) -> float:
    """The mean over pairs of different layers."""
    values = matrix.values
    return float(values[~np.eye(len(values), dtype=bool)].mean())


def main() -> None:
    """Prints the tables."""
    if len(sys.argv) != 2:
        sys.exit("usage: python examples/read_results.py STUDY")
    results = Results.load(Path(sys.argv[1]) / "results.nc")
    about = results.dataset.attrs
    print(f"{about['title']}: {about['utterances']} utterances, {about['frames']} frames of {about['grid']:g} s\n")
    for run in results.runs:
        first, final = results.steps(run)[0], results.steps(run)[-1]
        wer = results.wer(run)["test_wer"].sel(step=final)
        matrices = {
            "untrained": results.within(run, first, "cka"),
            "trained": results.within(run, final, "cka"),
            "trained, utterances shuffled": results.shuffled(run, final, "cka"),
        }
        print(f"{run}: test WER {float(wer):.1%} after {final} steps")
        print("  CKA of different layers: " + ", ".join(f"{k} {off_diagonal(m):.2f}" for k, m in matrices.items()))
        curve = results.curve("to_final", run, "cka")
        for layer in results.layers(run):
            below = curve["step"].values[curve.sel(layer=layer).values < CONVERGED]
            last = f"last below {CONVERGED} at step {below[-1]}" if len(below) else f"never below {CONVERGED}"
            print(f"  {layer:14} CKA with its final state {last}")
    for refusal in results.refusals:
        print(f"not computed: {refusal.measure} of {refusal.run} {refusal.layer} ({refusal.reason})")

    # The same as one long table, a row for each pair of views and measure, for pandas or anything that reads CSV.
    print()
    print(results.to_frame().groupby(["kind", "measure"])["similarity"].describe()[["count", "mean", "max"]].round(3))


if __name__ == "__main__":
    main()
