"""Downloading a corpus from its publisher: verified, resumed where it broke off, unpacked whole or not at all."""

from __future__ import annotations

import hashlib
import http.client
import tarfile
import time
import urllib.error
import urllib.request
import zlib
from collections.abc import Callable
from pathlib import Path

from otoscope.corpora.cache import cache_dir, made_whole
from otoscope.corpora.sources import SOURCES, Archive, Source
from otoscope.errors import CorpusError

__all__ = ["fetch", "fetch_source"]

Progress = Callable[[str, int, int | None], None]

_CHUNK = 1 << 20  # bytes
_TIMEOUT = 60.0  # seconds without a byte
_GAVE_UP_AT_ONCE = frozenset({400, 401, 403, 404, 410, 451})  # HTTP states that another try does not change
_RECORD = "SOURCE.txt"


def fetch(name: str, destination: str | Path | None = None, *, progress: Progress | None = None) -> Path:
    """Download a corpus from its publisher, check it against its checksum, and unpack it.

    A download that breaks off goes on from where it was, within this call (six tries, waiting longer each time) and
    in the next. An archive that does not match its checksum is removed and never unpacked.

    Args:
        name: one of `SOURCES`.
        destination: a folder in which the corpus gets a folder of its name; None: the cache, where `load(name)` looks.
        progress: called with (file, bytes so far, bytes in all or None where the server does not say).

    Returns:
        The folder to give to `load`. A corpus that is already there is not fetched again.

    Raises:
        CorpusError: an unknown name; no way to the server (the message says what to download by hand, and where to
            put it); a file that is not there; a wrong checksum; an archive that cannot be unpacked.

    Example:
        >>> fetch("no-such-corpus")
        Traceback (most recent call last):
        otoscope.errors.CorpusError: There is no source named 'no-such-corpus'; expected one of an4, mini-librispeech, \
librispeech-100, librispeech-360, librispeech-500, librispeech-960, dev-clean, dev-other, test-clean, test-other.
    """
    if name not in SOURCES:
        raise CorpusError(f"There is no source named {name!r}; expected one of {', '.join(SOURCES)}.")
    base = Path(destination).expanduser() if destination is not None else cache_dir() / "corpora"
    return fetch_source(SOURCES[name], base / name, progress=progress)


def fetch_source(
    source: Source, folder: Path, *, progress: Progress | None = None, tries: int = 6, wait: float = 1.0
) -> Path:
    """Fetch any source into a folder; `fetch` does so for those of `SOURCES`.

    Args:
        source: what to download.
        folder: becomes the corpus; it appears only when everything is in it.
        progress: as for `fetch`.
        tries: attempts in a row that bring no new byte, before it gives up.
        wait: seconds before the second attempt; each further wait is twice as long, at most 30 s.

    Returns:
        `folder`. It holds what the archives hold, and `SOURCE.txt` with addresses, checksums and licence.
    """
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    record = [f"{source.what}\nLicence: {source.licence}\n"]
    archives = []
    for archive in source.archives:
        path = folder.parent / archive.file
        if not path.exists():
            _download(archive, path, progress, tries, wait)
        record.append(f"{archive.url}\n{_verify(archive, path)}\n")
        archives.append(path)
    with made_whole(folder) as unpacking:
        for path in archives:
            _unpack(path, unpacking)
        (unpacking / _RECORD).write_text("\n".join(record), encoding="utf-8")
    for path in archives:
        path.unlink(missing_ok=True)
    return folder


def _download(archive: Archive, path: Path, progress: Progress | None, tries: int, wait: float) -> None:
    """Into `path`, by way of `path`.part, which a later call goes on from."""
    part = path.with_name(path.name + ".part")
    failures = 0
    while True:
        before = part.stat().st_size if part.exists() else 0
        try:
            _go_on(archive, part, progress)
            break
        except urllib.error.HTTPError as error:
            error.close()
            fault, final = f"the server answered {error.code} {error.reason}", error.code in _GAVE_UP_AT_ONCE
        except (OSError, http.client.HTTPException) as error:  # URLError is an OSError
            fault, final = f"{getattr(error, 'reason', None) or error or type(error).__name__}", False
        got = part.stat().st_size if part.exists() else 0
        failures = 0 if got > before else failures + 1
        if final or failures >= tries:
            raise CorpusError(
                f"{archive.url} could not be downloaded: {fault} ({got} bytes so far are kept). "
                f"Try again later, or download it by other means and put it at {path}, then run the same again."
            )
        time.sleep(min(30.0, wait * 2 ** max(0, failures - 1)))
    part.replace(path)


def _go_on(archive: Archive, part: Path, progress: Progress | None) -> None:
    """One attempt: ask for what is missing, append it; return when the file is whole."""
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(archive.url, headers={"User-Agent": "otoscope", "Accept-Encoding": "identity"})
    if have:
        request.add_header("Range", f"bytes={have}-")
    try:
        answer = urllib.request.urlopen(request, timeout=_TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code == 416 and have:  # nothing lies beyond what we have
            total = (error.headers.get("Content-Range") or "").rpartition("/")[2]
            error.close()
            if total == str(have):
                return
            part.unlink()
            raise ConnectionError("the partial download does not fit the file on the server; starting anew") from error
        raise
    with answer:
        resumed = answer.status == 206 and answer.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        if answer.status == 206 and not resumed:
            part.unlink()
            raise ConnectionError("the server sent another part of the file than was asked for; starting anew")
        if not resumed:
            have = 0  # the server sends the whole file
        length = answer.headers.get("Content-Length")
        total_bytes = have + int(length) if length is not None else None
        with part.open("ab" if resumed else "wb") as file:
            while chunk := answer.read(_CHUNK):
                file.write(chunk)
                have += len(chunk)
                if progress:
                    progress(archive.file, have, total_bytes)
    if total_bytes is not None and have < total_bytes:
        raise ConnectionError(f"the connection broke off at {have} of {total_bytes} bytes")


def _verify(archive: Archive, path: Path) -> str:
    """What to record of the checksum; a file that does not match is removed."""
    if archive.checksum is None:
        return f"sha256:{_digest(path, 'sha256')} (as received: the publisher gives no checksum to compare with)"
    method, _, expected = archive.checksum.partition(":")
    found = _digest(path, method)
    if found != expected:
        size = path.stat().st_size
        path.unlink()
        raise CorpusError(
            f"{archive.file} ({size} bytes) has the {method.upper()} {found}, expected {expected}: it is damaged "
            f"or has been changed, and was removed. Run the same again to download it anew from {archive.url}."
        )
    return f"{archive.checksum} (verified)"


def _digest(path: Path, method: str) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, method).hexdigest()


def _unpack(path: Path, folder: Path) -> None:
    try:
        with tarfile.open(path) as tar:
            tar.extractall(folder, filter="data")  # refuses links and paths that lead out of the folder
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        raise CorpusError(
            f"{path} cannot be unpacked ({error}). Remove it and run the same again, or check that the disk has room."
        ) from error
