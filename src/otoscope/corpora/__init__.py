"""Speech with its transcripts: one manifest type, importers, checks, and the corpus that comes with Otoscope."""

from .audio import SAMPLE_RATE_HZ, read_audio
from .cache import cache_dir
from .checking import KINDS, check, summarise
from .default import default_corpus
from .fetching import fetch, fetch_source
from .importers import IMPORTERS, Importer
from .loading import load
from .manifest import Corpus, Interval, Problem, Utterance
from .sources import SOURCES, Archive, Source
from .splits import draw_splits, with_dev, with_test
from .text import ENGLISH, normalise

__all__ = [
    "ENGLISH",
    "IMPORTERS",
    "KINDS",
    "SAMPLE_RATE_HZ",
    "SOURCES",
    "Archive",
    "Corpus",
    "Importer",
    "Interval",
    "Problem",
    "Source",
    "Utterance",
    "cache_dir",
    "check",
    "default_corpus",
    "draw_splits",
    "fetch",
    "fetch_source",
    "load",
    "normalise",
    "read_audio",
    "summarise",
    "with_dev",
    "with_test",
]
