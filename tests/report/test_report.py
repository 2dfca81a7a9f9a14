"""The written page and figures: complete, self-contained, true to the numbers, and at ease with odd input."""

import json
import re
import shutil
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser

import numpy as np
import pytest

from otoscope.errors import StudyError
from otoscope.measures import registry
from otoscope.report import write_report
from otoscope.report.methods import method_notes
from otoscope.report.payload import build_payload
from otoscope.study.results import Results
from tests.report.studies import HALF_WIDTH, MEASURES, STEPS, make_study

SVG = "{http://www.w3.org/2000/svg}"


class Page(HTMLParser):
    """Tags with their attributes, and text by the element it stands in."""

    def __init__(self, path):
        super().__init__()
        self.tags, self.inside, self.texts = [], [], []
        self.source = path.read_text(encoding="utf-8")
        self.feed(self.source)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.inside.append(tag)

    def handle_endtag(self, tag):
        while self.inside and self.inside.pop() != tag:
            pass

    def handle_data(self, data):
        self.texts.append((self.inside[-1] if self.inside else "", data))

    @property
    def text(self):
        shown = (data for tag, data in self.texts if tag not in ("script", "style"))
        return re.sub(r"\s+", " ", " ".join(shown))

    def data(self):
        """The numbers that the page carries."""
        return json.loads(next(d for t, d in self.texts if t == "script" and d.lstrip().startswith('{"measures"')))


def test_the_page_loads_nothing(three):
    page = Page(three / "report.html")
    for tag, attrs in page.tags:
        for name in ("src", "href", "action", "data", "poster", "srcset"):
            assert not attrs.get(name, "").strip().startswith(("http", "//", "file")), (tag, attrs)
    css = " ".join(data for tag, data in page.texts if tag == "style")
    assert "url(" not in css
    assert "@import" not in css
    assert page.source.count("window.vegaEmbed = ") + page.source.count("window.vegaEmbed=") == 1


def test_the_page_says_what_was_run_and_what_came_out(three):
    text = Page(three / "report.html").text
    for said in (
        "4 runs of 3 recognisers, 3 measures",
        "tones · 120 utterances · 0.50 hours · 4 speakers",
        "train: 100 utterances, 3 speakers · dev: 12 utterances, 1 speakers",
        "1 × empty audio, skipped",
        "240 frames of 12 utterances of split dev, one frame every 40 ms",
        "otoscope study --corpus tones",
        "123,456",
        "arXiv 2205.09456",
        "12 frames for 7 units: too few",
        "u1: empty audio",
    ):
        assert said in text, said
    results = Results.load(three / "results.nc")
    wer = 100 * float(results.wer("lstm/seed0")["test_wer"][-1])
    assert f"lstm: {wer:.1f} % test WER" in text


def test_the_summary_names_the_alike_neighbours_and_the_movement(three):
    results, text = Results.load(three / "results.nc"), Page(three / "report.html").text
    neighbours = np.diag(results.within("lstm/seed0", STEPS[-1], "cka").values, 1)
    k = int(neighbours.argmax())
    assert f"lstm: most alike are {k} and {k + 1} ({neighbours[k]:.2f})" in text
    moved = results.curve("to_final", "lstm/seed0", "cka").sel(step=0)
    assert f"furthest from its untrained state is {np.argmin(moved.values)}" in text
    shuffled = [results.shuffled(run, s, "cka-biased") for run in results.runs for s in (STEPS[0], STEPS[-1])]
    mean = np.concatenate([m.values.ravel() for m in shuffled]).mean()
    assert f"cka-biased: {mean:.3f} on average" in text


def test_the_page_carries_the_results(three):
    results, data = Results.load(three / "results.nc"), Page(three / "report.html").data()
    assert data["measures"] == list(MEASURES)
    for run in results.runs:
        for step in STEPS:
            stored = results.within(run, step, "cka").values
            np.testing.assert_allclose(data["within"][run][str(step)]["cka"][0], stored, atol=5.1e-5)
        curve = results.curve("to_previous", run, "cka-biased").values
        carried = np.array(data["to_previous"][run]["cka-biased"][0], dtype=float)
        np.testing.assert_allclose(carried, curve, atol=5.1e-5)
    assert [(p["x"], p["y"]) for p in data["across"]][:2] == [("cnn/seed0", "cnn/seed1"), ("cnn/seed0", "lstm/seed0")]
    assert data["within"]["cnn/seed0"]["0"]["cca"][0][1] == [None] * 5
    assert data["reasons"]["cca"]["cnn/seed0"]["1"] == "12 frames for 7 units: too few"


def drawn(svg):
    """How many lines and cells a figure shows, its axes and legends left aside."""
    marks = ("mark-line role-mark", "mark-rect role-mark")
    groups = [g for g in svg.iter(f"{SVG}g") if g.get("class", "").startswith(marks)]
    return sum(bool(path.get("d")) for group in groups for path in group.iter(f"{SVG}path"))


def test_figures_are_written_as_svg_and_png(three):
    figures = three / "figures"
    stems = {p.stem for p in figures.glob("*.svg")}
    kinds = ("within", "to_final", "to_previous", "across", "baselines")
    assert stems == {"wer", "cer", "loss"} | {f"{kind}-{m}" for kind in kinds for m in MEASURES}
    assert {p.stem for p in figures.glob("*.png")} == stems
    assert len(list(figures.iterdir())) == 2 * len(stems)
    for stem in stems:
        svg = ElementTree.parse(figures / f"{stem}.svg").getroot()
        assert drawn(svg) >= (6 if stem in ("wer", "cer", "loss") else 12), stem
        png = (figures / f"{stem}.png").read_bytes()
        assert png.startswith(b"\x89PNG")
        assert len(png) > 10_000
    within = (figures / "within-cca.svg").read_text(encoding="utf-8")
    assert "×" in within  # a value that was not computed is marked, not left out
    assert "#c9c9c9" in within


NASTY = "c<b>n\"'&/é音 </script><script>alert(1)</script>"


def test_odd_names_are_escaped(tmp_path):
    run = "c<b>'\"& é音/seed0"
    folder = make_study(tmp_path, {run: 2}, names="<i>{}</i>\"'", title=NASTY, measures=["cka"])
    page = Page(write_report(folder))
    for raw in ("<i>0", "c<b>", "</script><script>alert"):
        assert raw not in page.source
    assert sum(tag == "script" for tag, _ in page.tags) == 3
    assert NASTY in page.text
    assert page.data()["runs"][run]["layers"][0] == "<i>0</i>\"'"
    for svg in (folder / "figures").glob("*.svg"):
        ElementTree.parse(svg)


def test_one_run_with_nothing_but_results(tmp_path):
    folder = make_study(tmp_path, {"cnn/seed0": 3}, measures=["cka"])
    (folder / "manifest.json").unlink()
    shutil.rmtree(folder / "recognisers")
    text = Page(write_report(folder)).text
    assert "1 run of 1 recogniser, 1 measure of" in text
    assert "manifest.json could not be read" in text
    assert "there is no training log" in text
    assert "not recorded" in text
    assert not list((folder / "figures").glob("across-*"))


def test_a_log_cut_off_by_a_kill_is_read_up_to_there_and_named(tmp_path):
    folder = make_study(tmp_path, {"cnn/seed0": 2}, measures=["cka"])
    log = folder / "recognisers/cnn/seed0/log.jsonl"
    log.write_bytes(log.read_bytes()[:-20])
    assert "1 of 800 lines of its training log could not be read" in Page(write_report(folder)).text


def test_writing_again_replaces_the_report_and_leaves_no_parts(tmp_path):
    folder = make_study(tmp_path, {"cnn/seed0": 2}, measures=["cka"])
    first = write_report(folder).read_bytes()
    assert write_report(folder).read_bytes() == first
    assert not list(folder.rglob("*.part"))


@pytest.mark.parametrize("make", [lambda p: None, lambda p: p.mkdir()])
def test_a_folder_without_results_is_refused(tmp_path, make):
    make(tmp_path / "nothing")
    with pytest.raises(StudyError, match=r"not a folder|no such results file"):
        write_report(tmp_path / "nothing")


def test_intervals_are_carried_and_told(with_intervals):
    results, page = Results.load(with_intervals / "results.nc"), Page(with_intervals / "report.html")
    data = page.data()
    matrix = results.within("cnn/seed0", STEPS[-1], "cka")
    values, _, low, high = map(np.array, data["within"]["cnn/seed0"][str(STEPS[-1])]["cka"])
    np.testing.assert_allclose(low, matrix["low"], atol=5.1e-5)
    np.testing.assert_allclose(high, matrix["high"], atol=5.1e-5)
    assert len(data["shuffled"]["cnn/seed0"]["0"]["cka"]) == 2  # which has none
    k = int(np.diag(values, 1).argmax())
    value = matrix.values[k, k + 1]
    told = f"cnn: most alike are {k} and {k + 1} ({value:.2f}, {value - HALF_WIDTH:.2f} to {value + HALF_WIDTH:.2f})"
    assert told in page.text
    assert "95 %, jackknife over blocks of speakers" in page.text
    assert "half of it is too short" in page.text


def test_a_distance_runs_the_other_way_and_is_called_one(with_intervals, tmp_path):
    page = Page(with_intervals / "report.html")
    data = page.data()
    largest = max(
        v for at in data["shuffled"].values() for t in at.values() for line in t["procrustes"][0] for v in line
    )
    assert list(data["distances"]) == ["procrustes"]
    assert largest <= data["distances"]["procrustes"] <= 1.42
    for specs, scale in (
        (data["specs"], 1),
        (data["specs"]["distances"]["procrustes"], data["distances"]["procrustes"]),
    ):
        colour = next(
            layer["encoding"]["color"]["scale"] for layer in specs["matrix"]["layer"] if "color" in layer["encoding"]
        )
        alike = 1 if scale == 1 else 0
        assert colour["range"][colour["domain"].index(alike)] == "#fde725"
        assert colour["domain"][-1] == pytest.approx(scale)
    assert "procrustes (a distance: 0 is alike): 1." in page.text
    assert "procrustes (distance: 0 is alike)" in page.text
    folder = make_study(tmp_path, {"cnn/seed0": 4, "lstm/seed0": 3}, measures=["procrustes"])
    results, text = Results.load(folder / "results.nc"), Page(write_report(folder)).text
    steps = np.diag(results.within("cnn/seed0", STEPS[-1], "procrustes").values, 1)
    k = int(steps.argmin())
    assert f"cnn: most alike are {k} and {k + 1} ({steps[k]:.2f})" in text
    moved = results.curve("to_final", "cnn/seed0", "procrustes").sel(step=0).values
    assert f"furthest from its untrained state is {moved.argmax()} ({moved.max():.2f})" in text
    svg = (folder / "figures" / "within-procrustes.svg").read_text(encoding="utf-8")
    assert "distance" in svg
    assert "similarity" not in svg


def test_every_registered_measure_has_a_note():
    notes = method_notes(registry.names())
    assert {n.measure for n in notes} == set(registry.names())
    for note in notes:
        assert all((note.group, note.formula, note.meaning, note.null, note.source)), note.measure
        assert "nchanged by" in note.meaning, note.measure
        measure = registry.get(note.measure)
        assert note.meaning.startswith("A distance") == measure.distance, note.measure
        assert ("some whole utterances" in note.meaning) == (measure.source == "samples"), note.measure
        assert ("Not symmetric" in note.limits) == (not measure.symmetric), note.measure
    assert method_notes(["my own"])[0].meaning.startswith("This measure has no note here")


def test_every_kind_of_comparison_may_be_missing(tmp_path):
    folder = make_study(tmp_path, {"cnn/seed0": 2, "lstm/seed0": 2}, measures=["cka"])
    results = Results.load(folder / "results.nc")
    only = results.dataset.isel(pair=np.flatnonzero(results.dataset["kind"].values == "across"))
    Results(only).save(folder / "results.nc")
    payload = build_payload(Results.load(folder / "results.nc"))
    assert payload["within"] == payload["to_final"] == {}
    text = Page(write_report(folder)).text
    assert "No shuffled baseline was computed." in text
    assert "the untrained and the final state were not compared" in text
