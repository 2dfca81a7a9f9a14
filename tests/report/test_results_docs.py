"""The examples in docs/results-format.md run on a real file, and its schema names every variable."""

import re
from pathlib import Path

from otoscope.study.results import Results
from tests.report.studies import make_study

DOCS = Path(__file__).parents[2] / "docs" / "results-format.md"


def test_examples_run(tmp_path, monkeypatch):
    make_study(tmp_path / "my-study", {"cnn/seed0": 2, "lstm/seed0": 2})
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", DOCS.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        exec(block, {})


def test_every_variable_and_attribute_is_described(tmp_path):
    data = Results.load(make_study(tmp_path, {"cnn/seed0": 2}) / "results.nc").dataset
    text = DOCS.read_text(encoding="utf-8")
    for name in {*data.variables, *data.attrs} - {"measure"}:
        assert f"`{name}`" in text, name
