"""Real speech for the trainers of other libraries."""

import pytest

from otoscope import load
from otoscope.corpora import read_audio


@pytest.fixture(scope="session")
def spoken(an4_subset):
    """Waveforms and texts of 24 utterances of AN4."""
    utterances = list(load(an4_subset))[:24]
    return [read_audio(u) for u in utterances], [u.text for u in utterances]
