"""Small trainings on real speech, and ways to stop and compare them."""

import pytest

from otoscope import load
from otoscope.asr import CharacterTokens, FeatureStore, Training, TrainingConfig
from otoscope.asr.models.cnn import CnnConfig
from otoscope.corpora import read_audio


@pytest.fixture(scope="session")
def speech(an4_subset, tmp_path_factory):
    """Transcripts by split, and the features of 64 utterances of AN4, those of train at two speeds."""
    corpus = load(an4_subset)
    texts = {split: {u.id: u.text for u in corpus.split(split)} for split in ("train", "test")}
    by_id = {u.id: u for u in corpus}
    wanted = [(u, s) for u in texts["train"] for s in (1.0, 1.1)] + [(u, 1.0) for u in texts["test"]]
    folder = tmp_path_factory.mktemp("features")
    store = FeatureStore.build(folder, wanted, lambda u: read_audio(by_id[u]), corpus_hash=corpus.hash())
    return texts, store


@pytest.fixture
def training(speech, tmp_path):
    """A training of a second or so: a small CNN, two epochs of about a dozen updates, 4 checkpoints."""
    texts, store = speech
    config = TrainingConfig(epochs=2, batch_seconds=15.0, speeds=(1.0, 1.1), checkpoints=4)
    tokens = CharacterTokens.of(texts["train"].values())
    model = CnnConfig(blocks=2, units=24, kernel=5, dropout=0.2)
    return Training(tmp_path / "run", model, tokens, store, texts["train"], texts["test"], config)
