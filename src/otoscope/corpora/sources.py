"""Corpora that can be fetched from their publishers."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["SOURCES", "Archive", "Source"]


@dataclass(frozen=True, slots=True)
class Archive:
    """One file to download.

    `checksum` is `md5:…` or `sha256:…`; None where the publisher gives none and none is established otherwise.
    """

    url: str
    checksum: str | None

    @property
    def file(self) -> str:
        """The file's name."""
        return self.url.rsplit("/", 1)[-1]


@dataclass(frozen=True, slots=True)
class Source:
    """A corpus at its publisher's: what it is, how large the download is, under which licence."""

    what: str
    megabytes: int
    licence: str
    archives: tuple[Archive, ...]


# MD5 sums as OpenSLR publishes them in md5sum.txt beside the archives.
_MD5 = {
    "12/dev-clean": "42e2234ba48799c1f50f24a7926300a1",
    "12/dev-other": "c8d0bcc9cca99d4f8b62fcc847357931",
    "12/test-clean": "32fa31d27d2e1cad72775fee3f4849a9",
    "12/test-other": "fb5a50374b501bb3bac4815ee91d3135",
    "12/train-clean-100": "2a93770f6d5c6c964bc36631d331a522",
    "12/train-clean-360": "c0e676e450a7ff2f54aeade5171606fa",
    "12/train-other-500": "d1a0fd59409feb2c614ce4d30c387708",
    "31/train-clean-5": "5df7d4e78065366204ca6845bb08f490",
    "31/dev-clean-2": "6d7ab67ac6a1d2c993d050e16d61080d",
}


def _openslr(what: str, megabytes: int, *subsets: str) -> Source:
    archives = tuple(Archive(f"https://www.openslr.org/resources/{s}.tar.gz", f"md5:{_MD5[s]}") for s in subsets)
    return Source(what, megabytes, "CC BY 4.0", archives)


SOURCES: dict[str, Source] = {
    # CMU publishes no checksum. This SHA-256 is the one by which others verify a mirrored copy of the same archive.
    "an4": Source(
        "CMU AN4: names, numbers, spelled letters; 1078 utterances, 0.8 h",
        64,
        "CMU AN4 licence, free for any use",
        (
            Archive(
                "http://www.speech.cs.cmu.edu/databases/an4/an4_sphere.tar.gz",
                "sha256:a0525579493735d32b60fb6fa5975dd0eaacde087b0a4eeb7f13b7ef33077b12",
            ),
        ),
    ),
    "mini-librispeech": _openslr("Mini LibriSpeech: 5 h train, 2 h dev", 459, "31/train-clean-5", "31/dev-clean-2"),
    "librispeech-100": _openslr(
        "LibriSpeech train-clean-100, dev-clean, test-clean: 100 h train",
        7072,
        *("12/train-clean-100", "12/dev-clean", "12/test-clean"),
    ),
    "librispeech-360": _openslr("LibriSpeech train-clean-360: 360 h", 23049, "12/train-clean-360"),
    "librispeech-500": _openslr("LibriSpeech train-other-500: 500 h", 30594, "12/train-other-500"),
    "librispeech-960": _openslr(
        "LibriSpeech, all of it: 960 h train, 21 h dev and test",
        61358,
        *("12/train-clean-100", "12/train-clean-360", "12/train-other-500"),
        *("12/dev-clean", "12/dev-other", "12/test-clean", "12/test-other"),
    ),
    "dev-clean": _openslr("LibriSpeech dev-clean: 5 h", 338, "12/dev-clean"),
    "dev-other": _openslr("LibriSpeech dev-other: 5 h", 314, "12/dev-other"),
    "test-clean": _openslr("LibriSpeech test-clean: 5 h", 347, "12/test-clean"),
    "test-other": _openslr("LibriSpeech test-other: 5 h", 329, "12/test-other"),
}
"""Every corpus that `fetch` knows, by name."""
