"""Docstring examples run; what is public is described."""

import doctest
import importlib
import pkgutil
from pathlib import Path

import pytest

import otoscope.corpora
from otoscope.corpora import IMPORTERS, KINDS, SOURCES

MODULES = [m.name for m in pkgutil.walk_packages(otoscope.corpora.__path__, "otoscope.corpora.")]
PAGE = Path(__file__).parents[2] / "docs" / "corpora.md"


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name):
    assert doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS).failed == 0


def test_the_page_names_every_layout_kind_and_source():
    text = PAGE.read_text(encoding="utf-8")
    missing = [name for name in (*IMPORTERS, *KINDS, *SOURCES) if f"`{name}`" not in text]
    assert missing == []
