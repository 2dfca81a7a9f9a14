"""The settings that encoders of every architecture share."""

from __future__ import annotations

from dataclasses import dataclass

from otoscope.asr.models.common import check_sizes
from otoscope.asr.models.front_end import check_front_end
from otoscope.asr.settings import expect, is_whole

__all__ = ["EncoderConfig"]


@dataclass(frozen=True)
class EncoderConfig:
    """`blocks` layers behind a front end.

    `intermediate_ctc` names blocks, from 0, whose output gets a CTC loss of its own (Lee & Watanabe 2021); with
    `self_conditioning`, what these outputs predict is added to what goes into the next block (Nozaki & Komatsu 2021).
    """

    blocks: int = 8
    dropout: float = 0.1
    intermediate_ctc: tuple[int, ...] = ()
    self_conditioning: bool = False
    front_end: str = "conv1d"
    front_end_channels: int = 64

    def __post_init__(self) -> None:
        check_sizes(blocks=self.blocks, dropout=self.dropout)
        chosen = self.intermediate_ctc
        below = (
            [is_whole(i, 0) and i < self.blocks - 1 for i in chosen] if isinstance(chosen, tuple | list) else [False]
        )
        expect(
            all(below) and len(set(chosen)) == len(chosen),
            "intermediate_ctc",
            chosen,
            f"different blocks before the last, by number: 0 to {self.blocks - 2}" if self.blocks > 1 else "none",
        )
        # From JSON and TOML it comes as a list; sorted, since the network meets them in this order.
        object.__setattr__(self, "intermediate_ctc", tuple(sorted(chosen)))
        expect(isinstance(self.self_conditioning, bool), "self_conditioning", self.self_conditioning, "true or false")
        conditions = not self.self_conditioning or bool(chosen)
        expect(conditions, "self_conditioning", self.self_conditioning, "blocks in intermediate_ctc to condition on")
        check_front_end(self.front_end, self.front_end_channels)
