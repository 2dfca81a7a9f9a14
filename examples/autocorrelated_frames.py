"""What CKA reads on layers whose frames depend on their neighbours, as frames of speech do.

    python examples/autocorrelated_frames.py [--draws 4]

Two layers of 256 units over 50 utterances of 400 frames. Every unit is an AR(1) sequence, x_t = φ x_(t−1) + noise. The
layers share no unit (the true CKA is 0) or half of them (0.5). Prints a Markdown table of means over the draws with
the machine and the versions; half a minute on one core.
"""

from __future__ import annotations

import argparse
import datetime

import numpy as np
import numpy.typing as npt

from otoscope import similarity
from otoscope.study import host, versions

UTTERANCES, FRAMES, UNITS = 50, 400, 256
ESTIMATORS = ("cka-biased", "cka-debiased", "cka")


def sequences(units: int, phi: float, random: np.random.Generator) -> npt.NDArray[np.float32]:
    """Independent stationary AR(1) sequences: (utterances × frames, units), utterance after utterance."""
    x = random.standard_normal((UTTERANCES, FRAMES, units), dtype=np.float32)
    for t in range(1, FRAMES):
        x[:, t] = phi * x[:, t - 1] + np.sqrt(1 - phi**2) * x[:, t]
    return x.reshape(UTTERANCES * FRAMES, units)


def read(truth: float, phi: float, draw: int) -> list[float]:
    """CKA of one pair of layers by the three estimators."""
    random = np.random.default_rng([draw, int(100 * truth), int(100 * phi)])
    shared = round(truth * UNITS)
    common, x, y = (sequences(n, phi, random) for n in (shared, UNITS - shared, UNITS - shared))
    layers = {"x": np.hstack([common, x]), "y": np.hstack([common, y])}
    found = similarity(layers, measure=list(ESTIMATORS), utterances=[FRAMES] * UTTERANCES)
    return [float(found[name].sel(layer_x="x", layer_y="y")) for name in ESTIMATORS]


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description="CKA of layers with autocorrelated frames, by three estimators.")
    parser.add_argument("--draws", type=int, default=4)
    draws = parser.parse_args().draws
    print("| true CKA | φ | biased | debiased | cross-utterance |")
    print("|---|---|---|---|---|")
    for truth in (0.0, 0.5):
        for phi in (0.0, 0.9, 0.98):
            means = np.mean([read(truth, phi, draw) for draw in range(draws)], axis=0)
            print(f"| {truth:g} | {phi:g} | " + " | ".join(f"{value:z.3f}" for value in means) + " |", flush=True)
    about = versions()
    print(f"\nMeans of {draws} draws. {host()['machine']}; Python {about['python']}, ", end="")
    print(f"numpy {about['numpy']}, torch {about['torch']}; {datetime.date.today()}.")


if __name__ == "__main__":
    main()
