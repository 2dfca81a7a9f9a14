"""One importer a file; `IMPORTERS` is the registry, in the order in which layouts are recognised."""

from .an4 import AN4
from .base import Importer
from .directory import DIRECTORY
from .kaldi import KALDI
from .lhotse import LHOTSE
from .librispeech import LIBRISPEECH
from .tsv import TSV

__all__ = ["IMPORTERS", "Importer"]

# The directory importer comes last: any of the others may also hold audio beside some .txt.
IMPORTERS: dict[str, Importer] = {i.name: i for i in (TSV, AN4, LIBRISPEECH, LHOTSE, KALDI, DIRECTORY)}
