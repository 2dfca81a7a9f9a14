"""Self-attention over the frames of an utterance, with rotary or relative positions: the Transformer's and Conformer's.

Either way, what two frames have to do with each other depends on how far apart they are, not on where they stand.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from otoscope.asr.models.dropout import Dropout
from otoscope.asr.settings import expect

__all__ = ["POSITIONS", "RelativeAttention", "RotaryAttention", "check_attention", "sinusoids"]


def sinusoids(positions: Tensor, units: int) -> tuple[Tensor, Tensor]:
    """Sines and cosines, each (positions, units / 2), of positions times rates from 1 down to 1 / 10 000."""
    rate = 10_000.0 ** (-torch.arange(0, units, 2, device=positions.device) / units)
    angle = positions[:, None] * rate
    return angle.sin(), angle.cos()


def rotate(x: Tensor, sine: Tensor, cosine: Tensor) -> Tensor:
    """Turns pairs of features by angles that grow with time: (batch, heads, frames, width) to the same shape."""
    first, second = x.chunk(2, dim=-1)
    return torch.cat([first * cosine - second * sine, first * sine + second * cosine], dim=-1).to(x.dtype)


class RotaryAttention(nn.Module):
    """Multi-head self-attention among the true frames, with queries and keys turned by their time (Su et al. 2021)."""

    def __init__(self, units: int, heads: int, dropout: float) -> None:
        """`units` features in and out, `heads` heads, `dropout` on the attention weights."""
        super().__init__()
        self.heads = heads
        self.dropout = Dropout(dropout)
        self.inputs = nn.Linear(units, 3 * units)
        self.output = nn.Linear(units, units)

    @staticmethod
    def table(frames: int, units: int, heads: int, device: torch.device) -> Tensor:
        """Sines and cosines (2, frames, width of a head / 2): the same for every block."""
        return torch.stack(sinusoids(torch.arange(frames, device=device), units // heads))

    def forward(self, x: Tensor, mask: Tensor, table: Tensor) -> Tensor:
        """(batch, frames, units), mask (batch, frames) and the table of positions to (batch, frames, units)."""
        query, key, value = _heads(self.inputs(x), self.heads)
        sine, cosine = table
        query, key = rotate(query, sine, cosine), rotate(key, sine, cosine)
        if x.device.type == "cpu":
            # Written out: over the few hundred frames of an utterance torch's attention is slower there, and with
            # dropout it draws a number for every weight.
            scores = (query * query.shape[3] ** -0.5) @ key.transpose(2, 3)
            weights = self.dropout(scores.masked_fill(~mask[:, None, None], float("-inf")).softmax(-1).to(value.dtype))
            mixed = weights @ value
        else:
            mixed = nn.functional.scaled_dot_product_attention(
                query,
                key,
                value,
                attn_mask=mask[:, None, None],
                dropout_p=self.dropout.p if self.training else 0.0,
            )
        attended: Tensor = self.output(mixed.transpose(1, 2).flatten(2))
        return attended


class RelativeAttention(nn.Module):
    """Multi-head self-attention among the true frames, with learnt weights of their distance (Dai et al. 2019).

    The score of query i and key j is ((qᵢ + u)ᵀ kⱼ + (qᵢ + v)ᵀ W r(i − j)) / √width: r are sinusoids, u, v and W are
    learnt, u and v for each head. It is what the Conformer's authors use.
    """

    def __init__(self, units: int, heads: int, dropout: float) -> None:
        """`units` features in and out, `heads` heads, `dropout` on the attention weights."""
        super().__init__()
        self.heads = heads
        self.dropout = Dropout(dropout)
        self.inputs = nn.Linear(units, 3 * units)
        self.positions = nn.Linear(units, units, bias=False)
        self.content_bias = nn.Parameter(torch.zeros(heads, 1, units // heads))
        self.position_bias = nn.Parameter(torch.zeros(heads, 1, units // heads))
        self.output = nn.Linear(units, units)

    @staticmethod
    def table(frames: int, units: int, heads: int, device: torch.device) -> Tensor:
        """Sinusoids of the distances frames − 1 … −(frames − 1), (2 frames − 1, units): the same for every block."""
        distances = torch.arange(frames - 1, -frames, -1, device=device)
        return torch.cat(sinusoids(distances, units), dim=1)

    def forward(self, x: Tensor, mask: Tensor, table: Tensor) -> Tensor:
        """(batch, frames, units), mask (batch, frames) and the table of positions to (batch, frames, units)."""
        query, key, value = _heads(self.inputs(x), self.heads)
        batch, heads, frames, width = query.shape
        distances: Tensor = self.positions(table.to(self.positions.weight.dtype))
        at = distances.view(-1, heads, width).permute(1, 2, 0)
        by_position = by_distance(((query + self.position_bias) * width**-0.5).to(at.dtype) @ at)
        by_content = ((query + self.content_bias) * width**-0.5).to(key.dtype).flatten(0, 1)
        # Written out: torch's fused attention is not for scores that learn, and falls back to slower steps.
        scores = torch.baddbmm(
            by_position.reshape(-1, frames, frames).to(key.dtype), by_content, key.flatten(0, 1).transpose(1, 2)
        ).view(batch, heads, frames, frames)
        weights = self.dropout(scores.masked_fill(~mask[:, None, None], float("-inf")).softmax(-1).to(value.dtype))
        attended: Tensor = self.output((weights @ value).transpose(1, 2).flatten(2))
        return attended


def by_distance(scores: Tensor) -> Tensor:
    """Scores of queries × distances (…, frames, 2 frames − 1) to queries × keys (…, frames, frames).

    Row i wants the distances i − 0 … i − (frames − 1), which stand frames − 1 − i columns from the left. With one
    column put before, reading the rows on end in rows one shorter moves each row by one more than the last.
    """
    frames = scores.shape[-2]
    padded = nn.functional.pad(scores, (1, 0)).flatten(-2)
    return padded[..., frames:].view(*scores.shape)[..., :frames]


def _heads(inputs: Tensor, heads: int) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values, each (batch, heads, frames, width), from (batch, frames, 3 units)."""
    batch, frames, units = inputs.shape
    query, key, value = inputs.view(batch, frames, 3, heads, units // 3 // heads).permute(2, 0, 3, 1, 4)
    return query, key, value


POSITIONS: Mapping[str, type[RotaryAttention] | type[RelativeAttention]] = {
    "rotary": RotaryAttention,
    "relative": RelativeAttention,
}


def check_attention(units: int, heads: int, positions: str) -> None:
    """Raises StudyError unless there are such positions and the heads divide the units into even widths."""
    expect(positions in POSITIONS, "positions", positions, f"one of {', '.join(POSITIONS)}")
    # Rotary positions turn pairs of a head's features, relative ones are pairs of a sine and a cosine.
    expect(units % (2 * heads) == 0, "heads", heads, f"a number that divides units = {units} into heads of even width")
