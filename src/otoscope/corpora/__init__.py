"""Speech with its transcripts: one manifest type, importers, checks, and the corpus that comes with Otoscope."""

from otoscope.corpora.audio import SAMPLE_RATE_HZ, read_audio
from otoscope.corpora.cache import cache_dir
from otoscope.corpora.checking import KINDS, check, ctc_frames, summarise
from otoscope.corpora.default import default_corpus
from otoscope.corpora.fetching import fetch, fetch_source
from otoscope.corpora.importers import IMPORTERS, Importer
from otoscope.corpora.loading import load
from otoscope.corpora.manifest import Corpus, Interval, Problem, Utterance
from otoscope.corpora.sources import SOURCES, Archive, Source
from otoscope.corpora.splits import draw_splits, with_dev, with_test
from otoscope.corpora.text import ENGLISH, normalise

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
    "ctc_frames",
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
