"""A few real AN4 recordings, to be laid out as each importer expects them."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from otoscope.corpora import Corpus, Utterance, load


@pytest.fixture(scope="session")
def an4(corpora_root) -> Corpus:
    return load(corpora_root / "an4")


@pytest.fixture(scope="session")
def few(an4) -> list[Utterance]:
    """Two short utterances each of three training speakers and two test speakers."""
    chosen: list[Utterance] = []
    for split, speakers in (("train", 3), ("test", 2)):
        utterances = an4.split(split).utterances
        for speaker in list(dict.fromkeys(u.speaker for u in utterances))[:speakers]:
            chosen += sorted((u for u in utterances if u.speaker == speaker), key=lambda u: u.duration)[:2]
    return chosen


@pytest.fixture(scope="session")
def samples(few) -> dict[str, np.ndarray]:
    return {u.id: soundfile.read(u.audio, dtype="int16")[0] for u in few}


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch) -> Path:
    """No test touches the user's cache."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("OTOSCOPE_CACHE", str(folder))
    return folder
