"""CKA without the leading principal components of each layer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch

from otoscope.errors import MeasureError
from otoscope.measures.accumulator import Accumulator
from otoscope.measures.checks import Array, Utterances, float64
from otoscope.measures.cka import Estimator
from otoscope.measures.cka import compute as compute_cka
from otoscope.measures.moments import Moments
from otoscope.measures.registry import Measure, register
from otoscope.measures.result import Similarity
from otoscope.measures.samples import Samples
from otoscope.measures.spectrum import spectrum

__all__ = ["compute", "pc_removed_cka"]

CHUNK_ENTRIES = 1 << 22  # projected frames of all layers hold about this many numbers at a time (32 MiB)


def pc_removed_cka(
    x: Array, y: Array, *, k: int = 1, utterances: Utterances | None = None, estimator: Estimator | None = None
) -> Similarity:
    """Linear CKA of two layers, each without its `k` leading principal components.

    Formula: `cka` of X̃(I − V_kV_kᵀ) and Ỹ(I − W_kW_kᵀ), V_k and W_k the leading eigenvectors of X̃ᵀX̃ and ỸᵀỸ.

    Use it beside `cka` where one direction holds much of a layer's variance (`describe` says how much): CKA counts
    directions by their variance, squared, so that block structure may be one direction's doing. Where the two differ
    much, say so. Not in place of `cka`: what is removed may be what matters.

    Arguments:
        x: frames × units, numpy or torch, any floating type.
        y: the same frames × its units.
        k: how many components to remove from each layer; 0 is `cka`.
        utterances: each frame's utterance index, or the list of lengths.
        estimator: as for `cka`, with the same default. All three see the frames without the components.

    Returns:
        The similarity, with the null level of `cka`; its `ranks` are those left.

    Raises:
        MeasureError: as for `cka`; `k` not a whole number from 0; a layer whose rank is not above `k`.

    Source: Nguyen et al. 2021 and 2022; that CKA can hang on a few directions also Davari et al. 2022.

    >>> import torch
    >>> from otoscope.measures import cka
    >>> g = torch.Generator().manual_seed(0)
    >>> loud, a, b = (torch.randn(400, p, generator=g) for p in (1, 8, 8))
    >>> x, y = torch.cat([30 * loud, a], 1), torch.cat([30 * loud, b], 1)
    >>> round(cka(x, y).value, 2), abs(round(pc_removed_cka(x, y).value, 1))
    (1.0, 0.0)
    """
    return compute(Samples.of({"x": x, "y": y}, utterances=utterances), "x", "y", k=k, estimator=estimator)


def compute(samples: Samples, x: str, y: str, *, k: int = 1, estimator: Estimator | None = None) -> Similarity:
    """`pc_removed_cka` of two layers of the samples; arguments and errors as there.

    The first call takes the components from all layers in one pass, for all pairs.
    """
    if k != int(k) or k < 0:
        raise MeasureError(f"k is {k}; expected a whole number of components to remove, such as 1")
    ranks = [_rank(samples, name) for name in (x, y)]
    for name, rank in zip((x, y), ranks, strict=True):
        if rank <= k:
            raise MeasureError(
                f"layer '{name}' has rank {rank}, so that nothing is left of it without {k} principal components; "
                "give a smaller k, or measure cka"
            )
    moments = samples.cached(("pc-removed", k), lambda: _without_components(samples, k))
    found = compute_cka(moments, x, y, estimator=estimator, measure="cka-pc-removed")
    return replace(found, ranks=(ranks[0] - k, ranks[1] - k))


def _layers(samples: Samples) -> Moments:
    """Each layer's covariance, without pairs."""
    return samples.cached("layers", lambda: Moments.of(samples.views, pairs=[]))


def _rank(samples: Samples, name: str) -> int:
    samples.view(name)
    return spectrum(_layers(samples), name, standardised=False).rank


def _without_components(samples: Samples, k: int) -> Moments:
    """The moments of all layers that have more than `k` components, without these."""
    layers, leading = _layers(samples), dict[str, torch.Tensor]()
    for name in samples.names:
        try:
            found = spectrum(layers, name, standardised=False)
        except MeasureError:  # a constant layer, refused by name where it is measured
            continue
        if found.rank > k:
            leading[name] = found.vectors[:, :k]
    widths = {name: samples.widths[name] for name in leading}
    total = Accumulator(widths, utterances=samples.lengths is not None)
    for rows, lengths in _parts(samples, max(1, CHUNK_ENTRIES // sum(widths.values()))):
        views = {}
        for name, V in leading.items():
            centred = float64(samples.view(name)[rows], V.device) - layers.mean(name)
            views[name] = centred - (centred @ V) @ V.T
        total.update(views, lengths)
    return total.take()


def _parts(samples: Samples, most: int) -> Iterator[tuple[slice, list[int] | None]]:
    """Runs of whole utterances of about so many frames, or of frames where utterances are not known."""
    if samples.lengths is None:
        for start in range(0, samples.frames, most):
            yield slice(start, min(start + most, samples.frames)), None
        return
    start, held = 0, list[int]()
    for length in samples.lengths:
        held.append(length)
        if sum(held) >= most:
            yield slice(start, start + sum(held)), held
            start, held = start + sum(held), []
    if held:
        yield slice(start, start + sum(held)), held


register(
    Measure("cka-pc-removed", compute, needs="4 frames; 2 utterances where utterances are given", source="samples")
)
