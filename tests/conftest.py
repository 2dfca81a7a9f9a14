"""What every test may use."""

import os
from pathlib import Path

import pytest


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
