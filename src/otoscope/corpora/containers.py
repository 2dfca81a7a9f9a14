"""What a file's own header promises, where libsndfile quietly makes do with the bytes it finds.

A WAV or SPHERE file that was cut short opens without complaint and reads as a shorter one. Its header still holds
the length it had, and the last page of a whole Ogg stream says that it is the last: enough to notice.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import BinaryIO

__all__ = ["ogg_is_complete", "promised_frames"]

_UNKNOWN_SIZE = 0x7FFFFFFF  # streaming writers put this, 0 or 0xFFFFFFFF where they cannot know the length
_OGG_PAGE_MAX = 65307  # bytes
_END_OF_STREAM = 0x04


def promised_frames(path: Path) -> int | None:
    """The number of sample frames that a WAV or SPHERE header announces; None for other files or where unsaid."""
    with path.open("rb") as file:
        magic = file.read(12)
        if magic[:4] == b"RIFF" and magic[8:] == b"WAVE":
            return _wav_frames(file)
        if magic[:7] == b"NIST_1A":
            found = re.search(rb"sample_count -i (\d+)", magic + file.read(1012))
            return int(found[1]) if found else None
    return None


def _wav_frames(file: BinaryIO) -> int | None:
    bytes_per_frame = 0
    while len(head := file.read(8)) == 8:
        size = int.from_bytes(head[4:], "little")
        if head[:4] == b"data":
            compressed = bytes_per_frame == 0
            return None if compressed or size == 0 or size >= _UNKNOWN_SIZE else size // bytes_per_frame
        body = size + size % 2  # chunks are padded to even length
        if head[:4] == b"fmt ":
            fmt = file.read(body)
            pcm = fmt[:2] in (b"\x01\x00", b"\x03\x00", b"\xfe\xff")  # integer, float, extensible
            bytes_per_frame = int.from_bytes(fmt[12:14], "little") if pcm else 0
        else:
            file.seek(body, os.SEEK_CUR)
    return None


def ogg_is_complete(path: Path) -> bool:
    """Whether the last Ogg page is marked as the end of its stream; True for files that are not Ogg."""
    with path.open("rb") as file:
        if file.read(4) != b"OggS":
            return True
        file.seek(max(0, path.stat().st_size - _OGG_PAGE_MAX))
        tail = file.read()
    last = tail.rfind(b"OggS")
    return 0 <= last < len(tail) - 5 and bool(tail[last + 5] & _END_OF_STREAM)
