"""Normalising changes spelling, never words."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from otoscope.corpora import ENGLISH, normalise
from otoscope.corpora.text import outside


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("yes", "YES"),
        ("It’s  O‘CLOCK,\tsir!", "IT'S O'CLOCK SIR"),
        ("well-known — and self–made", "WELL KNOWN AND SELF MADE"),
        ("ﬁne ｗｉｄｅ…", "FINE WIDE"),
        ("“Don´t” ' stop", "DON'T STOP"),
        ("room 9, 50% & more", "ROOM 9 50% & MORE"),
        ("Straße", "STRASSE"),
        ("...", ""),
    ],
)
def test_spelling(text, expected):
    assert normalise(text) == expected


def test_the_alphabet_has_its_way():
    assert normalise("Hello, World!", alphabet="abcdefghijklmnopqrstuvwxyz ") == "hello world"
    assert normalise("Well-known.", alphabet="ABCDEFGHIJKLMNOPQRSTUVWXYZ-. ") == "WELL-KNOWN."
    assert normalise("Mixed Case", alphabet="ABCabcdefghijklmnopqrstuvwxyzM ") == "Mixed Case"


@given(st.text())
@example("C.\u0327")  # a full stop between a letter and its cedilla
def test_normal_text_stays_as_it_is(text):
    once = normalise(text)
    assert normalise(once) == once


@given(st.text(alphabet=ENGLISH + ".,-’“”"))
def test_english_comes_out_within_the_alphabet(text):
    assert outside(normalise(text), ENGLISH) == ""


@given(st.text(alphabet="0123456789éЖ%"))
def test_what_is_spoken_is_never_dropped(text):
    assert len(normalise(text)) >= len(text)
