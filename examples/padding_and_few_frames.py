"""Two ways in which unrelated layers come to read as alike: padding left in, and fewer frames than units.

    python examples/padding_and_few_frames.py

Prints CKA of independent layers, where the truth is 0, with the machine and the versions; seconds on one core.
"""

from __future__ import annotations

import datetime

import numpy as np

from otoscope import cka
from otoscope.study import host, versions


def main() -> None:
    """Prints both tables."""
    random = np.random.default_rng(0)

    # Activations after a ReLU have means well above zero, so rows of zeros are far from all of them.
    x, y = np.maximum(random.standard_normal((2, 20_000, 256)), 0)
    padded = random.random(len(x)) < 0.3
    print("| frames | biased | debiased |\n|---|---|---|")
    for name, keep in (("true frames only", ~padded), ("30 % of the frames are padding", np.full(len(x), True))):
        seen = [np.where(padded[:, None], 0.0, layer)[keep] for layer in (x, y)]
        values = [cka(*seen, estimator=estimator).value for estimator in ("biased", "debiased")]
        print(f"| {name} | " + " | ".join(f"{v:z.3f}" for v in values) + " |")

    print("\n| frames | units | biased | its null level | debiased |\n|---|---|---|---|---|")
    for frames in (128, 1_024, 8_192):
        few = random.standard_normal((2, frames, 512))
        biased, debiased = (cka(*few, estimator=estimator) for estimator in ("biased", "debiased"))
        print(f"| {frames} | 512 | {biased.value:z.3f} | {biased.null:z.3f} | {debiased.value:z.3f} |")

    about = versions()
    print(f"\nOne draw. {host()['machine']}; Python {about['python']}, numpy {about['numpy']}, ", end="")
    print(f"torch {about['torch']}; {datetime.date.today()}.")


if __name__ == "__main__":
    main()
