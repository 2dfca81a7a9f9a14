"""One importer a file; `IMPORTERS` is the registry, in the order in which layouts are recognised."""

from otoscope.corpora.importers.an4 import AN4
from otoscope.corpora.importers.base import Importer
from otoscope.corpora.importers.directory import DIRECTORY
from otoscope.corpora.importers.kaldi import KALDI
from otoscope.corpora.importers.lhotse import LHOTSE
from otoscope.corpora.importers.librispeech import LIBRISPEECH
from otoscope.corpora.importers.tsv import TSV

__all__ = ["IMPORTERS", "Importer"]

# The directory importer comes last: any of the others may also hold audio beside some .txt.
IMPORTERS: dict[str, Importer] = {i.name: i for i in (TSV, AN4, LIBRISPEECH, LHOTSE, KALDI, DIRECTORY)}
