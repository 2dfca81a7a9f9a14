"""The protocol of a paper's released code: activations flattened to one column. For comparison with its figures."""

from __future__ import annotations

import math
from functools import partial

from otoscope.errors import MeasureError
from otoscope.measures.checks import Array
from otoscope.measures.moments import Moments
from otoscope.measures.registry import Measure, register
from otoscope.measures.result import Similarity
from otoscope.measures.spectrum import check_varies, spectrum

__all__ = ["compute_cca", "compute_cka", "paper_cca", "paper_cka"]


def paper_cca(x: Array, y: Array) -> Similarity:
    """|Pearson correlation| of two layers flattened to one column each; not a canonical correlation of layers.

    Formula: |r|, r = Σ (x_sj − x̄)(y_sj − ȳ) / √(Σ (x_sj − x̄)² Σ (y_sj − ȳ)²) over all frames s and units j, x̄ and ȳ
    the means of all numbers of a layer: the canonical correlation of two matrices of a single column.

    Use it only to compare with figures made in this way, such as those of Ollerenshaw et al. 2021 for LSTM and
    Transformer layers, whose released code flattens frames × units before it calls CCA. It compares unit 1 with unit
    1, unit 2 with unit 2: exchange two units of a layer, which changes nothing in the network, and it falls. The
    units' means count as similarity. For everything else use `cca`.

    Arguments:
        x: frames × units, numpy or torch, any floating type.
        y: the same frames × as many units.

    Returns:
        The value in [0, 1] but for rounding. `null` is its mean over permutations of one layer's frames, in the
        normal approximation.

    Raises:
        MeasureError: layers of different widths; a layer that is constant, not finite or not frames × units.

    Source: the code released with Ollerenshaw, Jalal & Hain 2021.

    >>> import torch
    >>> x = torch.randn(500, 64, generator=torch.Generator().manual_seed(0))
    >>> y = x[:, torch.randperm(64, generator=torch.Generator().manual_seed(1))]
    >>> round(paper_cca(x, x).value, 4), round(paper_cca(x, y).value, 1)
    (1.0, 0.0)
    """
    return compute_cca(Moments.of({"x": x, "y": y}), "x", "y")


def paper_cka(x: Array, y: Array) -> Similarity:
    """Squared Pearson correlation of two layers flattened to one column each; not the CKA of layers.

    Formula: r², r as in `paper_cca`: linear CKA of two matrices of a single column.

    Use it only to compare with figures made in this way; see `paper_cca` for what it leaves out. For everything else
    use `cka`.

    Arguments:
        x: frames × units, numpy or torch, any floating type.
        y: the same frames × as many units.

    Returns:
        The value in [0, 1] but for rounding. `null` is its exact mean over permutations of one layer's frames.

    Raises:
        MeasureError: as for `paper_cca`.

    Source: the code released with Ollerenshaw, Jalal & Hain 2021.

    >>> import torch
    >>> x = torch.randn(500, 64, generator=torch.Generator().manual_seed(0))
    >>> bool(abs(paper_cka(x, x.tanh()).value - paper_cca(x, x.tanh()).value ** 2) < 1e-12)
    True
    """
    return compute_cka(Moments.of({"x": x, "y": y}), "x", "y")


def _correlation(moments: Moments, x: str, y: str, *, measure: str) -> tuple[float, float, tuple[float, float]]:
    """Pearson's r of the flattened layers, what the units' means covary, and the layers' lengths."""
    units = (moments.widths[x], moments.widths[y])
    if units[0] != units[1]:
        raise MeasureError(
            f"{measure} compares unit by unit and needs layers of one width; '{x}' has {units[0]} units, '{y}' has "
            f"{units[1]}. Use cca or cka, which compare layers of any widths"
        )
    for name in (x, y):
        check_varies(moments, name)
    # Centred by unit the columns' product is tr A; the units' means add what they covary, as a constant would not.
    n, (Bx, By) = moments.frames, (moments.to_units(name) for name in (x, y))
    if Bx is None or By is None:
        trace = float(moments.pair(x, y).cross.trace())
    else:
        # tr BₓᵀA B_y = ⟨A, Bₓ B_yᵀ⟩: the matrix need not be turned to units for its trace.
        trace = float((moments.centred(x, y).cross * (Bx @ By.T)).sum())
    mx, my = (moments.mean(name) - moments.mean(name).mean() for name in (x, y))
    norms = [math.sqrt(float(moments.layer(name).energy) + n * float(m @ m)) for name, m in ((x, mx), (y, my))]
    of_means = n * float(mx @ my)
    return (trace + of_means) / norms[0] / norms[1], of_means, (norms[0], norms[1])


def _value(moments: Moments, x: str, y: str, *, measure: str) -> float:
    r = _correlation(moments, x, y, measure=measure)[0]
    return r * r if measure == "paper-cka" else abs(r)


def _compute(moments: Moments, x: str, y: str, *, measure: str) -> Similarity:
    (_, of_means, norms), n = _correlation(moments, x, y, measure=measure), moments.frames
    # Over permutations of y's frames r has the mean of_means and the variance ⟨X̃ᵀX̃, ỸᵀỸ⟩ / (n − 1), over the norms.
    spread = float((moments.pair(x, x).cross * moments.pair(y, y).cross).sum()) / (n - 1)
    mean = of_means / norms[0] / norms[1]
    deviation = math.sqrt(max(0.0, spread)) / norms[0] / norms[1]  # 0 where no unit varies in both layers
    squared = measure == "paper-cka"
    return Similarity(
        measure=measure,
        value=_value(moments, x, y, measure=measure),
        null=mean**2 + deviation**2 if squared else _folded(mean, deviation),
        frames=n,
        units=(moments.widths[x], moments.widths[y]),
        ranks=(spectrum(moments, x).rank, spectrum(moments, y).rank),
        layers=(x, y),
        utterances=moments.utterances,
    )


def _folded(mean: float, deviation: float) -> float:
    """E|z| of a normal z."""
    if not deviation:
        return abs(mean)
    at = mean / deviation
    return deviation * math.sqrt(2 / math.pi) * math.exp(-at * at / 2) + mean * math.erf(at / math.sqrt(2))


compute_cca = partial(_compute, measure="paper-cca")
compute_cka = partial(_compute, measure="paper-cka")

for _name, _of, _rough in (("paper-cca", compute_cca, True), ("paper-cka", compute_cka, False)):
    register(
        Measure(
            _name,
            _of,
            needs="2 frames; layers of one width",
            invariance=("scale", "scale"),
            rough=_rough,
            alone=partial(_value, measure=_name),
        )
    )
