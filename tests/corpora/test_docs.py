"""What is public is described."""

from pathlib import Path

from otoscope.corpora import IMPORTERS, KINDS, SOURCES

PAGE = Path(__file__).parents[2] / "docs" / "corpora.md"


def test_the_page_names_every_layout_kind_and_source():
    text = PAGE.read_text(encoding="utf-8")
    missing = [name for name in (*IMPORTERS, *KINDS, *SOURCES) if f"`{name}`" not in text]
    assert missing == []
