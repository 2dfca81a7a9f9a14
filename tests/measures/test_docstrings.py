"""The examples in the docstrings run, and every public name has one."""

import doctest
import importlib
import pkgutil

import pytest

from otoscope import labelled, measures

MODULES = ["otoscope.labelled", *(f"otoscope.measures.{m.name}" for m in pkgutil.iter_modules(measures.__path__))]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    module = importlib.import_module(name)
    assert doctest.testmod(module).failed == 0


@pytest.mark.parametrize(
    "public", [measures.cka, measures.cca, measures.svcca, measures.pwcca, measures.Moments, labelled.similarity]
)
def test_public_names_are_shown_by_example(public):
    assert ">>> " in (public.__doc__ or "")
