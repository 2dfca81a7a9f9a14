"""Which blocks of an encoder stay when some are left out."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from otoscope.errors import CaptureError

__all__ = ["staying"]


def staying(blocks: Mapping[str, str], without: Collection[str]) -> list[int]:
    """The places of the blocks that stay, from 0.

    Arguments:
        blocks: as `Prunes.blocks` has them.
        without: the names of those that are left out.

    Raises:
        CaptureError: a name that is no block, a block that cannot be left out, or no block that stays.

    >>> staying({"a": "", "b": "", "c": ""}, ["b"])
    [0, 2]
    """
    for name in without:
        if name not in blocks:
            raise CaptureError(f"there is no block {name!r} to leave out; there are {', '.join(blocks) or 'none'}")
        if blocks[name]:
            raise CaptureError(f"the block {name} cannot be left out: {blocks[name]}")
    stay = [i for i, name in enumerate(blocks) if name not in without]
    if not stay:
        raise CaptureError(f"all {len(blocks)} blocks were to be left out; at least one must stay")
    return stay
