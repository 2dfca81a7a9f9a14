"""Inner products of the n × n Gram matrices of all layers, tile by tile: no such matrix is ever held.

Each tile is computed for all layers, and their inner products taken, before the next; the row sums gathered beside
them carry the centring, which is worked out at the end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from otoscope.errors import MeasureError
from otoscope.measures.checks import resolution
from otoscope.measures.cka import Estimator
from otoscope.measures.kernels import Kernel
from otoscope.measures.moments import Moments
from otoscope.measures.nulls import permuted_cka
from otoscope.measures.result import Similarity
from otoscope.measures.samples import Samples, lengths_to_index
from otoscope.measures.spectrum import spectrum

__all__ = ["KernelProducts", "centred", "kernel_products", "kernel_similarity", "rank", "row_effects"]

TILE = 384  # frames; a tile of every layer stays in the processor's cache


@dataclass(frozen=True, slots=True)
class KernelProducts:
    """S(x, y) of all pairs of layers.

    Arguments:
        names: the layers, in the order of the axes below; constant layers are left out.
        products: layers × layers, S(x, y).
        entries: (layers) the sums of squares of the entries that S takes, before centring: what S is small against.
        traces: (layers) of the centred Gram matrices.
    """

    names: tuple[str, ...]
    products: torch.Tensor
    entries: torch.Tensor
    traces: torch.Tensor


def kernel_similarity(
    samples: Samples,
    x: str,
    y: str,
    kernel: Kernel,
    *,
    measure: str,
    estimator: Estimator | None,
    max_frames: int | None,
) -> Similarity:
    """S(x, y) / √(S(x, x) S(y, y)) of two layers of the samples (or of a subset of them), by one estimator."""
    for name in (x, y):
        samples.view(name)
    samples = samples if max_frames is None else samples.subset(max_frames)
    chosen: Estimator = estimator or ("debiased" if samples.lengths is None else "cross-utterance")
    _check_amount(samples, chosen, measure)
    ranks = (rank(samples, x), rank(samples, y))
    found = samples.cached(("kernel", kernel, chosen), lambda: kernel_products(samples, kernel, chosen))
    i, j = found.names.index(x), found.names.index(y)
    norms = [float(found.products[k, k]) for k in (i, j)]
    for name, k, norm in zip((x, y), (i, j), norms, strict=True):
        # S is a squared norm; what is left of the entries below this is rounding.
        if not norm > 1e-12 * float(found.entries[k]):
            raise MeasureError(
                f"layer '{name}' has no similarity with itself left by the {chosen} estimator of {measure} "
                f"(S = {norm:.3g} of {float(found.entries[k]):.3g}, {samples.frames} frames, {samples.utterances} "
                "utterances); give more speech, or look for frames that are all alike"
            )
    null = 0.0
    if chosen == "biased":
        null = permuted_cka((float(found.traces[i]), float(found.traces[j])), samples.frames, (norms[0], norms[1]))
    return Similarity(
        measure=measure,
        value=float(found.products[i, j]) / norms[0] ** 0.5 / norms[1] ** 0.5,
        null=null,
        frames=samples.frames,
        units=(samples.widths[x], samples.widths[y]),
        ranks=ranks,
        layers=(x, y),
        utterances=samples.utterances,
        estimator=chosen,
    )


def rank(samples: Samples, name: str) -> int:
    """A layer's numerical rank; a layer that is constant is refused."""
    return samples.cached(("rank", name), lambda: spectrum(Moments.of({name: samples.view(name)}), name).rank)


def centred(samples: Samples, name: str) -> torch.Tensor | None:
    """A layer's frames × units in float64, less the mean of each unit; `None` where it is constant."""
    x = samples.view(name)
    values = x.double() if x.device.type != "mps" else x.cpu().double()  # which has no float64
    rounding = float((values**2).sum()) * resolution(x) ** 2
    values = values - values.mean(0)
    return values if float((values**2).sum()) > rounding else None


def kernel_products(samples: Samples, kernel: Kernel, estimator: Estimator) -> KernelProducts:
    """S of all pairs of layers. Memory: float64 copies of the layers, and one tile of each."""
    layers = {name: x for name in samples.names if (x := centred(samples, name)) is not None}
    kernels = {name: kernel.fitted(x) for name, x in layers.items()}
    norms = {name: (x**2).sum(1) for name, x in layers.items()}
    n, device = samples.frames, next(iter(layers.values())).device if layers else torch.device("cpu")
    lengths = samples.lengths if estimator == "cross-utterance" else None
    index = None if lengths is None else lengths_to_index(lengths).to(device)
    inner = torch.zeros(len(layers), len(layers), dtype=torch.float64, device=device)
    rows, diagonal = (torch.zeros(len(layers), n, dtype=torch.float64, device=device) for _ in range(2))
    for first in range(0, n, TILE):
        for second in range(first, n, TILE):
            i, j = slice(first, min(first + TILE, n)), slice(second, min(second + TILE, n))
            tile = _tile(layers, kernels, norms, i, j)
            if i == j:
                diagonal[:, i] = tile.diagonal(dim1=1, dim2=2)
                if estimator == "debiased":
                    tile.diagonal(dim1=1, dim2=2).zero_()
            if index is not None and index[i][-1] >= index[j][0]:
                tile.mul_(index[i][:, None] != index[None, j])
            rows[:, i] += tile.sum(2)
            if i != j:  # the tile below the diagonal, its transpose
                rows[:, j] += tile.sum(1)
            entries = tile.view(len(layers), -1)
            inner += (entries @ entries.T) * (1 if i == j else 2)
    effects = row_effects(rows, lengths, everything=estimator == "biased")
    return KernelProducts(
        names=tuple(layers),
        products=inner - 2 * effects @ rows.T,
        entries=inner.diagonal(),
        traces=diagonal.sum(1) - rows.sum(1) / n,
    )


def _tile(
    layers: Mapping[str, torch.Tensor],
    kernels: Mapping[str, Kernel],
    norms: Mapping[str, torch.Tensor],
    i: slice,
    j: slice,
) -> torch.Tensor:
    """Layers × rows × columns of Gram entries."""
    return torch.stack([kernels[k].entries(x[i] @ x[j].T, norms[k][i], norms[k][j]) for k, x in layers.items()])


def row_effects(rows: torch.Tensor, lengths: Sequence[int] | None, *, everything: bool = False) -> torch.Tensor:
    """α (matrices × n) such that K_st − α_s − α_t sums to 0 in each row, over the entries of different utterances.

    This is the projection of those entries off all row and column effects, so that
    ⟨PK, PL⟩ = ⟨K, L⟩ − 2 Σ_s α_s(K) l_s, l_s the row sums of L. Utterances of one frame each make it the U-centring of
    Székely & Rizzo 2014, and all entries (the diagonal among them) the double centring K̃ = HKH.

    Arguments:
        rows: matrices × n, the row sums of the entries taken.
        lengths: of the utterances, at least two; `None` where each frame is one of its own.
        everything: all entries are taken.
    """
    n, total = rows.shape[1], rows.sum(1, keepdim=True)
    if everything:
        return rows / n - total / (2 * n * n)
    if lengths is None:
        return (rows - total / (2 * (n - 1))) / (n - 2)
    counts = torch.tensor(lengths, dtype=torch.float64, device=rows.device)
    index = lengths_to_index(lengths).to(rows.device)
    sums = torch.zeros(len(rows), len(lengths), dtype=torch.float64, device=rows.device).index_add_(1, index, rows)
    # (N − n_u) α_s + Σ_t α_t over t of other utterances = k_s; summed over u, with a_u = Σ_{s∈u} α_s and a = Σ a_u,
    # (N − 2n_u) a_u + n_u a = k_u.
    weight = n - 2 * counts
    if len(lengths) == 2:  # a constant may go from one utterance's effects to the other's
        shares = sums / (2 * (n - counts))
    else:
        half = weight == 0  # at most one
        weight[half] = 1
        whole = (sums / weight).sum(1, keepdim=True) / (1 + (counts / weight).sum())
        if bool(half.any()):
            whole = sums[:, half] / counts[half]
        shares = (sums - counts * whole) / weight
        shares[:, half] = whole - shares[:, ~half].sum(1, keepdim=True)
    elsewhere = shares.sum(1, keepdim=True) - shares
    return (rows - elsewhere[:, index]) / (n - counts)[index]


def _check_amount(samples: Samples, estimator: Estimator, measure: str) -> None:
    if estimator == "debiased" and samples.frames < 4:
        raise MeasureError(f"debiased {measure} needs at least 4 frames, got {samples.frames}; give more")
    if estimator == "cross-utterance" and (samples.utterances or 0) < 2:
        raise MeasureError(
            f"cross-utterance {measure} compares frames of different utterances and needs at least 2, got "
            f"{samples.utterances or 'no utterances'}; give more utterances, or choose estimator='debiased'"
        )
