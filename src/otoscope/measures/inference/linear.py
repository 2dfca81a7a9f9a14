"""Values without each block of speech, to first order: nothing is decomposed again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
import torch
from torch import Tensor

from otoscope.errors import MeasureError
from otoscope.measures.gradient import Gradient
from otoscope.measures.inference.block_moments import BlockMoments
from otoscope.measures.inference.combine import aligned
from otoscope.measures.inference.evaluate import Key, Outcome
from otoscope.measures.inference.scales import Floats, scale_of
from otoscope.measures.moments import Moments
from otoscope.measures.registry import Measure

__all__ = ["left_out_linearly"]

REMEMBERED = 2  # layers whose own sums of all blocks lie ready: those of the pair at hand


def left_out_linearly(
    blocks: BlockMoments, measures: Sequence[Measure], keys: Sequence[Key]
) -> tuple[dict[Key, Outcome], dict[Key, Floats]]:
    """Every measure of every pair on all speech, and to first order its values without each block.

    Formula: leaving out block b changes the centred sums C by ΔC_b, which is exact,

    ΔC_b = −A_b − (s − s_b)(t − t_b)ᵀ / (n − n_b) + s tᵀ / n,

    and a value θ by dθ_b = Σ ⟨∂θ/∂C, ΔC_b⟩. The change is taken on the scale z of the interval (Fisher's z, the
    logarithm): θ₍b₎ = z⁻¹(z(θ) + z'(θ) dθ_b), which stays within the measure's range. One derivative serves all
    blocks, and costs a few products of matrices.

    A refusal stands in the place of its result.
    """
    by_name, total = {m.name: m for m in measures}, blocks.total
    changes = _Changes(aligned([total, *blocks.parts]))
    results: dict[Key, Outcome] = {}
    left: dict[Key, Floats] = {}
    for x, y in dict.fromkeys((x, y) for _, x, y in keys):
        gradients: dict[Key, Gradient] = {}
        here = [key for key in keys if key[1:] == (x, y)]
        for key in sorted(here, key=lambda key: not by_name[key[0]].directions):
            measure = by_name[key[0]]
            assert measure.gradient is not None
            try:
                results[key] = measure.compute(total, x, y)
                gradients[key] = measure.gradient(total, x, y)
            except MeasureError as refusal:
                results[key] = refusal
        if gradients:
            moved = changes.along(x, y, list(gradients.values()))
            for key, change in zip(gradients, moved, strict=True):
                found = results[key]
                assert not isinstance(found, MeasureError)
                left[key] = _moved(by_name[key[0]], found.value, change)
    return results, left


class _Changes:
    """What leaving out each block does to sums, seen along derivatives."""

    def __init__(self, all_and_parts: Sequence[Moments]) -> None:
        self.total, *self.parts = all_and_parts
        self.room: dict[torch.Size, Tensor] = {}
        self.selves: dict[str, Tensor] = {}

    def along(self, x: str, y: str, gradients: Sequence[Gradient]) -> Floats:
        """Σ ⟨derivative, ΔC_b⟩ of each derivative, for every block: (derivatives, blocks)."""
        if (x, y) in self.total.blocks:
            cross, by_cross = self._stacked(x, y), [g.cross for g in gradients]
            first, second = x, y
        else:
            cross, by_cross = self._stacked(y, x), [g.cross.T for g in gradients]
            first, second = y, x
        change = self._moved(first, second, cross, by_cross)
        change += self._moved(x, x, self._self(x), [g.x for g in gradients])
        change += self._moved(y, y, self._self(y), [g.y for g in gradients])
        return cast(Floats, change.cpu().numpy())

    def _moved(self, x: str, y: str, sums: Tensor, derivatives: Sequence[Tensor]) -> Tensor:
        G = torch.stack([d.to(sums) for d in derivatives])
        change = -(G.flatten(1) @ sums.flatten(1).T)
        s, t = self.total.layers[x].total, self.total.layers[y].total
        s_left = torch.stack([s - part.layers[x].total for part in self.parts])
        t_left = torch.stack([t - part.layers[y].total for part in self.parts])
        n = self.total.frames
        n_left = s.new_tensor([n - part.frames for part in self.parts])
        means = torch.einsum("bp,gpq,bq->gb", s_left, G, t_left) / n_left
        return change - means + (torch.einsum("p,gpq,q->g", s, G, t) / n)[:, None]

    def _self(self, name: str) -> Tensor:
        if name not in self.selves:
            if len(self.selves) == REMEMBERED:
                del self.selves[next(iter(self.selves))]
            self.selves[name] = torch.stack([part.blocks[name, name].cross for part in self.parts])
        return self.selves[name]

    def _stacked(self, x: str, y: str) -> Tensor:
        if x == y:
            return self._self(x)
        matrices = [part.blocks[x, y].cross for part in self.parts]
        shape = matrices[0].shape
        if shape not in self.room:
            self.room[shape] = matrices[0].new_empty(len(matrices), *shape)
        return torch.stack(matrices, out=self.room[shape])


def _moved(measure: Measure, value: float, change: Floats) -> Floats:
    """The values after these changes, made on the scale of the measure's interval."""
    at = np.array(value)
    scale = scale_of(measure, at[None])
    return scale.back(scale.to(at) + scale.slope(at) * change)
