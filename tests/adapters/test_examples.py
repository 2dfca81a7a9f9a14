"""The examples for other people's trainers run, on real speech."""

import io
import runpy
import sys
from contextlib import redirect_stdout
from pathlib import Path

import pytest

from otoscope.watching import read_watch

EXAMPLES = Path(__file__).parents[2] / "examples"

# What the trainers say to their users of loggers, workers and progress bars.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning", "ignore::FutureWarning")


@pytest.mark.parametrize(
    ("script", "arguments", "layer"),
    [
        ("watch_lightning.py", ["--epochs", "2"], "blocks.2"),
        ("watch_transformers.py", ["--steps", "2"], "wav2vec2.encoder.layers.3"),
    ],
)
def test_an_example_trains_and_watches(script, arguments, layer, an4_subset, monkeypatch, tmp_path):
    given = [script, str(an4_subset), *arguments, "--budget", "1000", "--out", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", given)
    out = io.StringIO()
    with redirect_stdout(out):
        runpy.run_path(str(EXAMPLES / script), run_name="__main__")
    assert layer in out.getvalue()
    assert "of the training time" in out.getvalue()
    rows = read_watch(tmp_path / "watch")[1:]
    assert [row["kind"] for row in rows] == ["checkpoint"] * 3
    assert rows[-1]["left_out"] == []
    assert list((tmp_path / "board").iterdir())
