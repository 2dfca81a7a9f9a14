"""What a single layer looks like: how many directions it uses, and how much they lean one way."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from otoscope.errors import MeasureError
from otoscope.measures.checks import Array, Utterances, float64, group_utterances
from otoscope.measures.moments import Moments
from otoscope.measures.spectrum import spectrum

__all__ = ["LayerDescription", "describe"]

CHUNK_ENTRIES = 1 << 22  # frames brought to unit norm at a time (32 MiB)


@dataclass(frozen=True, slots=True)
class LayerDescription:
    """One layer by itself; see `describe`.

    Arguments:
        layer: the layer's name.
        frames: the number of frames it was described on.
        units: its width.
        rank: its numerical rank.
        effective_dimension: (Σλ)² / Σλ², the participation ratio of its variances λ.
        components: the fewest principal components that hold at least `variance` of the variance.
        variance: that share, 0.99 unless asked otherwise.
        top_share: the share of the variance that lies in the first principal component.
        mean_share: the squared norm of the mean frame over the mean squared norm of a frame, from 0 to 1.
        anisotropy: the mean cosine of two different frames (of two different utterances where these are given);
            `None` from moments, which do not know it.
        zero_frames: the frames that are zero in every unit, which have no cosine and are left out of `anisotropy`;
            `None` from moments.
    """

    layer: str
    frames: int
    units: int
    rank: int
    effective_dimension: float
    components: int
    variance: float
    top_share: float
    mean_share: float
    anisotropy: float | None = None
    zero_frames: int | None = None


def describe(
    x: Array | Moments, name: str = "x", *, utterances: Utterances | None = None, variance: float = 0.99
) -> LayerDescription:
    """How many directions a layer uses, and how much its frames point the same way.

    Formula: with λ the variances along the principal components of the centred layer, the effective dimension is
    (Σλ)²/Σλ², the top component's share λ₁/Σλ; anisotropy is the mean of cos(x_s, x_t) over s ≠ t, of the frames as
    they are (not centred); the mean's share is ‖mean x‖² / mean ‖x‖². The last two agree where all frames have the
    same norm, and differ where few loud frames lean one way.

    Use it beside `cka` (which a single strong direction can decide) and before `cca` (which needs many frames for
    each direction). The effective dimension is biased downwards with few frames: for n independent Gaussian frames
    1/D is too large by about 1/(n − 1), so that it cannot exceed n − 1 and reads half for D = n − 1. Neighbouring
    frames of speech count as far fewer. Anisotropy and the mean's share depend on where zero is; the others do not.

    Arguments:
        x: frames × units, numpy or torch, any floating type; or moments that hold the layer.
        name: the layer's name: the one to describe in moments, a label for an array.
        utterances: each frame's utterance index, or the list of lengths; anisotropy is then taken over frames of
            different utterances, as neighbouring frames point the same way in any case. Only with an array.
        variance: the share of variance for `components`, above 0 and at most 1.

    Returns:
        The description, its fields as in `LayerDescription`.

    Raises:
        MeasureError: the layer is constant, not finite, not frames × units or not in the moments; fewer than two
            frames (or utterances) that are not zero.

    Source: participation ratio: Gao et al. 2017; anisotropy: Ethayarajh 2019.

    >>> import torch
    >>> x = torch.randn(2000, 8, generator=torch.Generator().manual_seed(0)) * torch.tensor([4.0] * 4 + [0.01] * 4)
    >>> found = describe(x + 4)
    >>> round(found.effective_dimension), found.components, round(found.top_share, 2), round(found.mean_share, 1)
    (4, 4, 0.27, 0.7)
    >>> describe(Moments.of({"encoder": x}), "encoder").anisotropy is None
    True
    """
    if not 0 < variance <= 1:
        raise MeasureError(f"variance is {variance}; expected a share above 0 and at most 1, such as 0.99")
    if isinstance(x, Moments):
        if utterances is not None:
            raise MeasureError("moments hold no frames to tell by utterance; leave `utterances` out, or give the array")
        return _of_moments(x, name, variance, None, None)
    moments = Moments.of({name: x})
    anisotropy, zero = _anisotropy(x, name, utterances)
    return _of_moments(moments, name, variance, anisotropy, zero)


def _of_moments(
    moments: Moments, name: str, variance: float, anisotropy: float | None, zero: int | None
) -> LayerDescription:
    found = spectrum(moments, name, standardised=False)
    of_mean = moments.frames * float(moments.mean(name) @ moments.mean(name))
    total = float(found.values.sum())
    return LayerDescription(
        layer=name,
        frames=moments.frames,
        units=moments.widths[name],
        rank=found.rank,
        effective_dimension=total**2 / float((found.values**2).sum()),
        components=found.components(variance),
        variance=variance,
        top_share=float(found.values[0]) / total,
        mean_share=of_mean / (of_mean + float(moments.layer(name).energy)),
        anisotropy=anisotropy,
        zero_frames=zero,
    )


def _anisotropy(x: Array, name: str, utterances: Utterances | None) -> tuple[float, int]:
    """The mean cosine of frames (of different utterances), and the frames without one.

    Σ_{s≠t} cos = ‖Σ x̂_s‖² − Σ_u ‖Σ_{s∈u} x̂_s‖² with x̂ of unit norm, u single frames where no utterances are given.
    """
    frames, units = x.shape
    index = torch.arange(frames)
    if utterances is not None:
        order, lengths = group_utterances(utterances, frames)
        index = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))
        if order is not None:
            x = x[order]
    whole = torch.zeros(units, dtype=torch.float64)
    sums = torch.zeros(int(index[-1]) + 1, units, dtype=torch.float64) if utterances is not None else None
    counts = torch.zeros(int(index[-1]) + 1, dtype=torch.float64)
    step = max(1, CHUNK_ENTRIES // units)
    for start in range(0, frames, step):
        part = float64(x[start : start + step], torch.device("cpu"))
        # Divided by the largest entry first: squares of tiny numbers would vanish.
        largest = part.abs().amax(1, keepdim=True)
        alive = largest[:, 0] > 0
        part = part[alive] / largest[alive]
        part = part / torch.linalg.vector_norm(part, dim=1, keepdim=True)
        of = index[start : start + step][alive]
        whole += part.sum(0)
        counts.index_add_(0, of, torch.ones(len(of), dtype=torch.float64))
        if sums is not None:
            sums.index_add_(0, of, part)
    within = float((sums**2).sum()) if sums is not None else float(counts.sum())
    pairs = float(counts.sum()) ** 2 - float((counts**2).sum())
    zero = frames - int(counts.sum())
    if not pairs:
        raise MeasureError(
            f"the anisotropy of layer '{name}' needs two frames{' of different utterances' * (sums is not None)} that "
            f"are not zero; {zero} of {frames} are. Give more, or describe its moments"
        )
    return (float(whole @ whole) - within) / pairs, zero
