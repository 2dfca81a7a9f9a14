"""TextGrids: what praatio writes is read back, and what does not fit is told."""

from pathlib import Path

import pytest
from praatio.data_classes.interval_tier import IntervalTier
from praatio.data_classes.point_tier import PointTier
from praatio.data_classes.textgrid import Textgrid

from otoscope import Corpus, CorpusError, Utterance
from otoscope.corpora import Interval
from otoscope.corpora.textgrid import with_alignments

WORDS = (Interval("SO", 0.1, 0.4), Interval("IT", 0.4, 0.75))
PHONES = (Interval("S", 0.1, 0.25), Interval("OW1", 0.25, 0.4), Interval("IH1", 0.4, 0.5), Interval("T", 0.5, 0.75))


def utterance(name, duration=1.0):
    return Utterance(name, "ann", Path(f"{name}.wav"), duration, "SO IT", "train")


def speech(*names):
    return Corpus("demo", tuple(map(utterance, names)))


def write(path, *, form="long_textgrid", end=1.0, prefix="", **tiers):
    grid = Textgrid()
    for name, intervals in tiers.items():
        grid.addTier(IntervalTier(prefix + name, [(i.start, i.end, i.label) for i in intervals], 0, end))
    path.parent.mkdir(parents=True, exist_ok=True)
    grid.save(str(path), form, includeBlankSpaces=True)


@pytest.mark.parametrize("form", ["long_textgrid", "short_textgrid"])
@pytest.mark.parametrize("prefix", ["", "ann - "])
def test_times_come_back_as_they_were_written(tmp_path, form, prefix):
    write(tmp_path / "ann" / "a.TextGrid", form=form, prefix=prefix, words=WORDS, phones=PHONES)
    (found,) = with_alignments(speech("a"), tmp_path)
    assert found.words == WORDS
    assert found.phones == PHONES


def test_what_a_textgrid_lacks_stays_as_it_was(tmp_path):
    write(tmp_path / "a.TextGrid", phones=PHONES)
    before = Corpus("demo", (Utterance("a", "ann", Path("a.wav"), 1.0, "SO IT", "train", words=WORDS[:1]),))
    (found,) = with_alignments(before, tmp_path)
    assert (found.words, found.phones) == (WORDS[:1], PHONES)


def test_utterances_without_a_fitting_textgrid_are_kept_and_named(tmp_path):
    write(tmp_path / "a.TextGrid", words=WORDS)
    write(tmp_path / "b.TextGrid", words=WORDS, end=3.0)
    found = with_alignments(speech("a", "b", "c"), tmp_path)
    assert [bool(u.words) for u in found] == [True, False, False]
    assert [(p.utterance, p.kind, p.action) for p in found.problems] == [
        ("b", "no alignment", "kept"),
        ("c", "no alignment", "kept"),
    ]
    assert "lasts 3.00 s, the utterance 1.00 s" in found.problems[0].what


def test_utf_16_as_praat_writes_it(tmp_path):
    write(tmp_path / "a.TextGrid", words=(Interval("ÄRA", 0.1, 0.4),))
    path = tmp_path / "a.TextGrid"
    path.write_text(path.read_text(encoding="utf-8"), encoding="utf-16")
    assert with_alignments(speech("a"), tmp_path).utterances[0].words[0].label == "ÄRA"


def refusal(folder, corpus=None):
    with pytest.raises(CorpusError) as told:
        with_alignments(corpus or speech("a"), folder)
    return str(told.value)


def test_what_cannot_be_used_is_refused_by_name(tmp_path):
    assert "There is no folder" in refusal(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    assert "has no TextGrid. Expected <utterance id>.TextGrid" in refusal(tmp_path / "empty")
    write(tmp_path / "other" / "x.TextGrid", words=WORDS)
    assert "None of the 1 TextGrids" in refusal(tmp_path / "other")
    for part in ("1", "2"):
        write(tmp_path / "twice" / part / "a.TextGrid", words=WORDS)
    assert "TextGrids of the same name" in refusal(tmp_path / "twice")
    write(tmp_path / "tiers" / "a.TextGrid", sentences=WORDS)
    assert "no interval tier called words or phones; its tiers are sentences" in refusal(tmp_path / "tiers")


def test_points_are_no_intervals(tmp_path):
    grid = Textgrid()
    grid.addTier(PointTier("words", [(0.5, "SO")], 0, 1))
    grid.save(str(tmp_path / "a.TextGrid"), "long_textgrid", includeBlankSpaces=True)
    assert "no interval tier" in refusal(tmp_path)


@pytest.mark.parametrize(
    "content", [b"", b"no textgrid at all", b'File type = "ooTextFile"\n', b"\xff\xfe\x00", b"\x80"]
)
def test_a_broken_file_is_named(tmp_path, content):
    (tmp_path / "a.TextGrid").write_bytes(content)
    assert "a.TextGrid" in refusal(tmp_path)
