"""What every test may use."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

from otoscope import run_study
from tests.speech import lay_out_subset, tiny_study
from tests.weights import pretrained  # noqa: F401 (a fixture)

# A test machine may be busy: how long one example takes says nothing about the code.
settings.register_profile("otoscope", deadline=None)
settings.load_profile("otoscope")


@pytest.fixture(scope="session")
def corpora_root() -> Path:
    """The folder with an4 and librispeech-mini: `OTOSCOPE_CORPORA`, else ../shared/corpora beside the repository."""
    default = Path(__file__).parents[2] / "shared" / "corpora"
    root = Path(os.environ.get("OTOSCOPE_CORPORA", default)).resolve()
    if not (root / "an4" / "transcripts.tsv").is_file():
        told = f"no real speech in {root}; set OTOSCOPE_CORPORA to the folder that holds an4 and librispeech-mini"
        if os.environ.get("CI"):
            pytest.fail(told)
        pytest.skip(told)
    return root


@pytest.fixture(scope="session")
def an4_subset(corpora_root, tmp_path_factory) -> Path:
    """64 real utterances of AN4 from many speakers, as a corpus of its own."""
    return lay_out_subset(corpora_root / "an4", tmp_path_factory.mktemp("corpora") / "an4-subset")


@pytest.fixture(scope="session")
def finished_study(an4_subset, tmp_path_factory) -> Path:
    """The folder of a finished study of three tiny recognisers on real speech. Not to be written to."""
    folder = tmp_path_factory.mktemp("studies") / "tiny"
    run_study(tiny_study(an4_subset), folder, command=["pytest"])
    return folder
