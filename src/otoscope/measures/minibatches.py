"""Sums over pairs of frames within shuffled minibatches, for all layers at once."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import torch

from otoscope.errors import MeasureError
from otoscope.float32 import fast_float32
from otoscope.measures.checks import resolution
from otoscope.measures.frame_pairs import row_effects
from otoscope.measures.kernels import Kernel, Linear
from otoscope.measures.samples import Samples, lengths_to_index

__all__ = ["Batches", "batch_products"]

FITTED_FRAMES = 1000  # to scale a layer and its kernel by
FLOAT32_ROUNDING = 1e-5  # of sums over a batch's pairs, generously


@dataclass(frozen=True, slots=True)
class Batches:
    """What the batches hold.

    Arguments:
        products: batches × layers × layers, S_b(x, y).
        entries: (layers) Σ K² of the entries that S takes.
        energies: (layers) Σ‖x − mean‖² within batches.
        rounding: (layers) the part of it that the layer's number format cannot resolve.
    """

    products: torch.Tensor
    entries: torch.Tensor
    energies: torch.Tensor
    rounding: torch.Tensor

    def check(self, name: str, k: int, estimator: str, samples: Samples) -> None:
        """Refuse a layer that is constant, or alike in all pairs of frames."""
        if not self.energies[k] > self.rounding[k]:
            raise MeasureError(
                f"layer '{name}' is constant over all frames (to the precision of its numbers), so nothing can be "
                "alike with it; look for dead units or leave the layer out"
            )
        norm, entries = float(self.products[:, k, k].sum()), float(self.entries[k])
        if not norm > FLOAT32_ROUNDING * entries:
            raise MeasureError(
                f"layer '{name}' has no similarity with itself left by the {estimator} estimator of cka-minibatch "
                f"(S = {norm:.3g} of {entries:.3g}, {samples.frames} frames, {samples.utterances} utterances); give "
                "more speech, or look for frames that are all alike"
            )


def batch_products(samples: Samples, kernel: Kernel, apart: bool, batch: int, passes: int, seed: int) -> Batches:
    """S of every batch and pair of layers; `apart` leaves out pairs of frames of one utterance."""
    dtype = torch.float64 if any(x.dtype == torch.float64 for x in samples.views.values()) else torch.float32
    layers = [_Layer(x, kernel, 2 * batch - 1, dtype) for x in samples.views.values()]
    device = layers[0].work.device
    index = lengths_to_index(samples.lengths).to(device) if apart and samples.lengths is not None else None
    grams, products = torch.empty(0), []
    entries, energies = torch.zeros(2, len(layers), dtype=torch.float64, device=device)
    with fast_float32(), torch.no_grad():
        for rows in _shuffled(samples.frames, batch, passes, seed):
            chosen, size = rows.to(device), len(rows)
            if grams.shape[1:] != (size, size):
                grams = torch.empty(len(layers), size, size, dtype=dtype, device=device)
            for gram, layer in zip(grams, layers, strict=True):
                layer.products(chosen, out=gram)
            norms = grams.diagonal(dim1=1, dim2=2).clone()
            energies += (norms.sum(1) - grams.sum((1, 2)) / size).double()
            for gram, layer, squares in zip(grams, layers, norms, strict=True):
                layer.apply_kernel(gram, squares)
            lengths: list[int] | None = None
            if index is None:
                grams.diagonal(dim1=1, dim2=2).zero_()
            else:
                utterances = index[chosen]
                grams.mul_(utterances[:, None] != utterances)
                counts = utterances.bincount()
                lengths = counts[counts > 0].tolist()
            flat, sums = grams.view(len(layers), -1), grams.sum(1).double()
            inner = (flat @ flat.T).double()
            entries += inner.diagonal()
            if lengths is None or len(lengths) > 1:  # a batch of one utterance has no pairs
                inner -= 2 * row_effects(sums, lengths) @ sums.T
            products.append(inner)
    return Batches(
        products=torch.stack(products).cpu(),
        entries=entries.cpu(),
        energies=energies.cpu(),
        rounding=torch.tensor([passes * layer.rounding for layer in layers], dtype=torch.float64),
    )


def _shuffled(frames: int, batch: int, passes: int, seed: int) -> Iterator[torch.Tensor]:
    """The frames of each batch, in order: a shuffle of all frames for each pass. What is left goes with the last."""
    generator = torch.Generator().manual_seed(seed)
    for _ in range(passes):
        order = torch.randperm(frames, generator=generator)
        starts = list(range(0, max(frames - batch, 0) + 1, batch))
        for start, stop in pairwise([*starts, frames]):
            yield order[start:stop].sort().values  # neighbours in memory are read together


class _Layer:
    """A layer's frames, and room for a batch of them: centred, scaled to norms near 1, in the type to multiply in."""

    def __init__(self, x: torch.Tensor, kernel: Kernel, most: int, dtype: torch.dtype) -> None:
        wide = torch.promote_types(x.dtype, torch.float32)
        self.x, self.mean = x, x.mean(0, dtype=wide)
        spaced = torch.linspace(0, len(x) - 1, min(len(x), FITTED_FRAMES), device=x.device).round().long()
        some = (x[spaced] - self.mean).double()
        size = float(torch.linalg.vector_norm(some)) / math.sqrt(len(some))
        # A power of two changes no digit; it keeps squares and fourth powers within float32's range.
        self.unit = 2.0 ** -round(math.log2(size)) if size > 0 and not 1e-3 < size < 1e3 else 1.0
        self.kernel: Kernel = kernel.fitted(some * self.unit, self.unit) if size > 0 else Linear()
        self.rounding = len(x) * float(torch.linalg.vector_norm(self.mean.double()) * self.unit * resolution(x)) ** 2
        shape = (min(len(x), most), x.shape[1])
        room = {kind: torch.empty(shape, dtype=kind, device=x.device) for kind in (x.dtype, wide, dtype)}
        self.raw, self.centred, self.work = room[x.dtype], room[wide], room[dtype]

    def products(self, rows: torch.Tensor, *, out: torch.Tensor) -> None:
        """The inner products of these frames with each other, into `out`."""
        n = len(rows)
        raw, centred, work = self.raw[:n], self.centred[:n], self.work[:n]
        torch.index_select(self.x, 0, rows, out=raw)
        torch.sub(raw, self.mean, out=centred)
        if self.unit != 1:
            centred.mul_(self.unit)
        if centred.dtype != work.dtype:
            work.copy_(centred)
        torch.mm(work, work.T, out=out)

    def apply_kernel(self, gram: torch.Tensor, norms: torch.Tensor) -> None:
        """Make inner products the kernel's entries, in place."""
        entries = self.kernel.entries(gram, norms, norms)
        if entries is not gram:
            gram.copy_(entries)
