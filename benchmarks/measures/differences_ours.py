"""What we answer in the cases that others get wrong, through the public interface."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from benchmarks.measures import situations
from benchmarks.measures.situations import LENGTHS, UNITS, Batch, Slices
from torch import Tensor

import otoscope
from otoscope import Layer, MeasureError
from otoscope.measures import Accumulator, registry

__all__ = ["ANSWERS", "Replayed"]


class Replayed(otoscope.TorchRecogniser):
    """A recogniser whose layers are the input's units."""

    frame_shift = 0.01

    def __init__(self, module: Slices, names: Sequence[str], units: int) -> None:
        self.module = module
        self._layers = [Layer(name, units, self.frame_shift, 1, "slice") for name in names]

    def forward(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        return self.module(features), lengths

    def layers(self) -> Sequence[Layer]:
        return self._layers


def value(measure: str, x: object, y: object, **options: object) -> float:
    """A registered measure of two layers."""
    found = otoscope.similarity({"x": x, "y": y}, measure=measure, layers_x=["x"], layers_y=["y"], **options)
    return float(found[0, 0])


def number(x: float) -> str:
    return f"{x:.3f}"


def said(call: Callable[[], object]) -> str:
    """What was answered: a number, or the beginning of what was refused."""
    try:
        answer = call()
    except MeasureError as refusal:
        return f"refuses: “{str(refusal).split(';')[0].split('. ')[0]}”"
    return number(answer) if isinstance(answer, float) else str(answer)


def few_frames() -> str:
    x, y = situations.fewer_frames_than_units()
    return f"cca {said(lambda: value('cca', x, y))}; cka-debiased {number(value('cka-debiased', x, y))}"


def three_a_unit() -> str:
    x, y = situations.three_frames_a_unit()
    found = otoscope.cca(x, y)
    return f"{number(found.value)}, null level {number(found.null)} beside it"


def numbers(*measures: str) -> Callable[[Callable[[], Sequence[object]]], Callable[[], str]]:
    """These measures of the first two layers of a situation."""

    def of(make: Callable[[], Sequence[object]]) -> Callable[[], str]:
        def answer() -> str:
            x, y = make()[:2]
            return "; ".join(f"{m} {said(lambda m=m: value(m, x, y))}" for m in measures)

        return answer

    return of


def scaled() -> str:
    x, y = situations.ordinary()
    texts = []
    for measure in ("cka-debiased", "cca"):
        values = [value(measure, x * factor, y * factor) for factor in (1, 1e-3, 1e-6)]
        texts.append(f"{measure} {', '.join(map(number, values))}")
    return "; ".join(texts)


def with_itself() -> str:
    x, _ = situations.steep()
    return f"svcca {number(value('svcca', x, x))}"


def kept() -> str:
    x, y = situations.steep()
    found = otoscope.svcca(x, y)
    return f"svcca {number(found.value)}, of {found.ranks[0]} and {found.ranks[1]} components"


def shifted() -> str:
    x, y = situations.ordinary()
    values = [value("pwcca", x + shift, y) for shift in (0, 3, 30)]
    return f"pwcca {', '.join(map(number, values))}"


def wider_first() -> str:
    x, y = situations.wider_first()
    return f"pwcca {number(value('pwcca', x, y))}, {number(value('pwcca', y, x))}"


class Shuffling:
    """Batches in another order each time they are read, as a shuffling loader gives them."""

    def __init__(self, batches: list[Batch]) -> None:
        self.batches, self.generator, self.read = batches, torch.Generator().manual_seed(0), 0

    def __iter__(self) -> Iterator[Batch]:
        self.read += 1
        for k in torch.randperm(len(self.batches), generator=self.generator).tolist():
            yield self.batches[k]


def shuffling_loader() -> str:
    x, y = situations.unrelated_utterances()
    loader = Shuffling(situations.batches([x, y], size=4))
    models = {name: Replayed(Slices({"x": UNITS, "y": UNITS}), ["x", "y"], UNITS) for name in ("one", "two")}
    moments = otoscope.reduce(models, loader)
    found = otoscope.similarity(moments, measure="cka", layers_x=["one:x"], layers_y=["two:x"])
    return f"{number(float(found[0, 0]))}; the loader was read {'once' if loader.read == 1 else loader.read}"


def utterance_by_utterance() -> str:
    x, y = situations.utterance_factors()
    total = Accumulator({"x": UNITS, "y": UNITS})
    ends = np.cumsum(LENGTHS)[:-1]
    for a, b in zip(np.split(x, ends), np.split(y, ends), strict=True):
        total.update({"x": a, "y": b}, [len(a)])
    found = registry.get("cka").compute(total.moments(), "x", "y")
    return f"{number(found.value)} of {found.utterances} batches"


def captured(layers: Sequence[np.ndarray], names: Sequence[str], pair: tuple[str, str], *, run: Sequence[str]) -> float:
    """Through a model's hooks, from padded batches."""
    widths = dict.fromkeys(names, UNITS)
    model = Replayed(Slices(widths, run=run), names, UNITS)
    moments = otoscope.reduce({"model": model}, situations.batches(list(layers)))
    found = otoscope.similarity(moments, measure="cka")
    return float(found.sel(layer_x=f"model:{pair[0]}", layer_y=f"model:{pair[1]}"))


def all_batches() -> str:
    return number(captured(situations.last_batch_differs(), ["x", "y"], ("x", "y"), run=["x", "y"]))


def without_padding() -> str:
    return number(captured(situations.unrelated_utterances(), ["x", "y"], ("x", "y"), run=["x", "y"]))


def own_labels() -> str:
    p, q, r = situations.three_layers()
    values = [captured([r, q, p], ["r", "q", "p"], pair, run=["p", "q", "r"]) for pair in (("p", "q"), ("q", "r"))]
    return f"(p, q) {number(values[0])}; (q, r) {number(values[1])}"


def not_clamped() -> str:
    values = [value("cka-debiased", *situations.unrelated(draw)) for draw in range(200)]
    return f"mean {number(float(np.mean(values)))}, least {number(min(values))}"


def twice_the_same() -> str:
    x, y = situations.ordinary()
    values = [value("shape-distance", x[:, :24], y[:, :24]) for _ in range(2)]
    return f"shape-distance {values[0]:.4f}, again {values[1]:.4f}"


ANSWERS: dict[str, Callable[[], str]] = {
    "few-frames": few_frames,
    "three-frames-a-unit": three_a_unit,
    "low-rank": numbers("cca", "pwcca", "cka-biased")(situations.rotated_low_rank),
    "empty-units": numbers("cca", "pwcca")(situations.units_that_say_nothing),
    "constant-layer": numbers("cka-debiased", "cca")(situations.constant_layer),
    "nan": numbers("cka-debiased")(situations.one_nan),
    "large-mean": numbers("cka-debiased", "cka-biased")(situations.large_mean),
    "half-precision": numbers("cka-debiased", "cca")(situations.half_precision),
    "scale": scaled,
    "svcca-itself": with_itself,
    "svcca-cut": kept,
    "pwcca-shift": shifted,
    "pwcca-wider": wider_first,
    "shuffling-loader": shuffling_loader,
    "utterance-batches": utterance_by_utterance,
    "last-batch": all_batches,
    "padding": without_padding,
    "flattening": without_padding,
    "clamping": not_clamped,
    "labels": own_labels,
    "call-to-call": twice_the_same,
    "minibatch-bias": numbers("cka-debiased")(situations.unrelated_wide),
    "debiased-rotation": numbers("cka-debiased")(situations.rotated_few_frames),
    "cca-wider": numbers("cca")(situations.wide_and_narrow),
    "centring": numbers("cka-debiased")(situations.unrelated_with_offsets),
}
