"""Findings, content and what is missing in the page: told as they are, whatever was asked."""

import dataclasses
import json
import time
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from otoscope.report import write_report
from otoscope.report.claims import chapters, counted, hanging, p_text, span
from otoscope.report.content import content_section
from otoscope.report.findings import findings_section
from otoscope.report.forest import forest_spec
from otoscope.report.payload import build_payload
from otoscope.report.pictures import PICTURES
from otoscope.study.findings import Effect, Finding, find_all
from otoscope.study.findings.convergence import settled
from otoscope.study.findings.writing import about_study, load, save
from otoscope.study.results import Results
from tests.report.conftest import FAILED, UNFINISHED
from tests.report.large import write_large
from tests.report.made_findings import QUESTIONS, effect, make_findings
from tests.report.studies import STEPS, make_study
from tests.report.test_report import Page, drawn

NAN = float("nan")


@pytest.fixture(scope="module")
def section(with_findings):
    """What the page is made from: the section, the results, the payload."""
    results = Results.load(with_findings / "results.nc")
    payload = build_payload(results)
    return findings_section(load(with_findings / "findings.json"), results, payload), results, payload


def made(id_, verdict, *, of="cnn", measure="cka", value=0.7):
    at = None if value is None else effect(value, 0.1, 0.5)
    return Finding(id_, "a name", "a claim", of, measure, verdict, "why", at, "what it is", 0.5)


# What is told


def test_every_verdict_of_the_first_measure_stands_in_the_page_with_its_numbers(with_findings):
    text, results = Page(with_findings / "report.html").text, Results.load(with_findings / "results.nc")
    found = load(with_findings / "findings.json")
    for f in found:
        if f.measure != results.measures[0]:
            continue
        p = p_text(f.corrected)
        row = f"{f.of} {f.verdict} {span(f.effect)} {p}" if f.effect else f"{f.id} {f.of} – {f.verdict} {f.reason}"
        told = text.replace("✓ ", "").replace("✗ ", "").replace("? ", "")
        assert row.replace("– ", "") in told.replace("– ", ""), row
    assert "Other measures" not in text


def test_claims_definitions_and_reasons_stand_in_the_page(with_findings):
    text = Page(with_findings / "report.html").text
    for name, claim, least in QUESTIONS.values():
        assert claim[0].upper() + claim[1:] in text
        assert f"Effect: how much of {name} there is. It counts from {least:.2f}." in text
    assert "F12 cnn – not applicable 2 layers are too few" in text
    assert "No answer: 2 layers are too few." in text


def test_a_study_that_asked_for_no_findings_says_so(three):
    text = Page(three / "report.html").text
    assert "This study asked for no findings" in text
    assert not list((three / "figures").glob("F*"))
    assert "Missing from this study" not in text
    assert "What each layer carries" not in text


def test_findings_that_cannot_be_read_are_named(tmp_path):
    folder = make_study(tmp_path, {"cnn/seed0": 2}, measures=["cka"])
    (folder / "findings.json").write_text("{}", encoding="utf-8")
    text = Page(write_report(folder)).text
    assert "There are no findings by this study's first measure" in text
    assert "findings.json could not be read, so that the report has no findings" in text


def test_what_is_missing_is_named_at_the_top(with_findings):
    text = Page(with_findings / "report.html").text
    at = text.index("Missing from this study")
    assert at < text.index("Word error rate") < text.index("Findings")
    assert f"lstm/seed1 (training): {FAILED.reason}" in text
    assert f"cnn/seed0 , step 200 (comparing): {UNFINISHED.reason}" in text


def test_findings_are_counted_by_verdict():
    found = [made("F1", "holds"), made("F2", "holds"), made("F3", "not applicable", value=None)]
    assert counted(chapters(found, "cka")) == "Of 3 findings by cka: 2 hold, 1 do not apply."


def test_what_hangs_on_the_measure_is_told_for_each_other_measure():
    verdicts = {
        "F1": ("does not hold", "holds"),
        "F2": ("not enough data", "holds"),
        "F3": ("holds", "does not hold"),
        "F4": ("holds", "not enough data"),
        "F5": ("holds", "holds"),
    }
    found = [
        made(id_, verdict, measure=measure)
        for id_, both in verdicts.items()
        for measure, verdict in zip(("cka", "cka-biased"), both, strict=True)
    ]
    (row,) = hanging(chapters(found, "cka"))
    assert (row.measure, row.estimator) == ("cka-biased", "biased")
    assert (row.only, row.beside, row.denied) == (("F1 cnn",), ("F2 cnn",), ("F3 cnn",))


def test_findings_by_another_first_measure_are_none(section):
    _, results, payload = section
    assert findings_section([made("F1", "holds", measure="procrustes")], results, payload) is None


def test_real_findings_of_constructed_representations_are_told(tmp_path):
    folder = make_study(tmp_path, {"cnn/seed0": 6, "cnn/seed1": 6}, measures=["cka"], intervals=True)
    results = Results.load(folder / "results.nc")
    found = find_all(results)
    save(found, folder / "findings.json", about_study(results))
    text = Page(write_report(folder)).text
    depth = next(f for f in found if f.id == "F1")
    assert depth.effect is not None
    assert span(depth.effect) in text


# Pictures


def test_a_forest_plot_has_every_effect_baseline_and_seed(section):
    shown = section[0].chapters[0]
    question = shown.chapter.questions[0]
    rows = forest_spec(question)["data"]["values"]
    for f in question.told:
        mine = [row for row in rows if row["of"] == f.of]
        assert {row["value"] for row in mine if row["what"] == "effect"} == {f.effect.value}
        for name, at in f.baselines.items():
            assert [row["value"] for row in mine if row["what"] == name] == [at.value]
        seeds = list(f.by_run.values()) if len(f.by_run) > 1 else []
        assert [row["value"] for row in mine if row["what"] == "seed"] == seeds
        assert f"{f.of} {span(f.effect)}, {f.verdict}" in shown.forests["F1"].described


def test_an_interval_out_of_all_proportion_is_cut_where_an_arrow_says_so():
    wide = dataclasses.replace(made("F1", "holds"), effect=Effect(0.7, -40.0, 41.4, 0.95, 0.1, 0.1, 1.0, 1.0))
    none = dataclasses.replace(made("F1", "holds", of="lstm"), effect=Effect(0.6, NAN, NAN, 0.95, NAN, NAN, NAN, NAN))
    (chapter,) = chapters([wide, none], "cka")
    spec = forest_spec(chapter.questions[0])
    row, other = spec["data"]["values"]
    assert -1 < row["low"] < 0 < row["high"] < 2
    assert row["cut_low"]
    assert row["cut_high"]
    assert "[−40.00, 41.40]" in row["told"]
    assert "low" not in other
    assert other["told"] == "0.60 [no interval]"


def test_every_number_has_its_picture_and_others_their_forest_plot(section):
    shown = {s.chapter.number: s for s in section[0].chapters}
    assert set(PICTURES) <= set(shown)
    for number, one in shown.items():
        assert bool(one.pictures) == (number in PICTURES), number
        assert bool(one.forests) == (number not in ("F10", "F12")), number


def test_the_block_is_outlined_where_the_finding_says(section):
    shown = {s.chapter.number: s for s in section[0].chapters}
    picture = shown["F4"].pictures[0]
    box = picture.spec["layer"][-1]["encoding"]
    side = picture.spec["width"] / 5
    assert (box["x"]["value"], box["x2"]["value"]) == (side, 4 * side)  # layers 1 to 3 of five
    assert (box["y"]["value"], box["y2"]["value"]) == (side, 4 * side)
    for one, f in zip(shown["F4"].pictures, shown["F4"].chapter.told, strict=True):
        assert ("; outlined: 1 to 3" in one.note) == (f.verdict == "holds")
        assert ("strokeDash" in one.spec["layer"][-1]["mark"]) == (f.verdict != "holds")
    assert len(shown["F1"].pictures[0].spec["layer"]) == len(picture.spec["layer"]) - 2


def test_diamonds_stand_where_layers_settle(section):
    found, results, _ = section
    shown = next(s for s in found.chapters if s.chapter.number == "F2")
    curve = results.curve("to_final", "cnn/seed0", "cka").values
    marks = {r["layer"]: r["settled"] for r in shown.pictures[0].spec["data"]["values"] if "settled" in r}
    when = settled(curve, np.array(STEPS, dtype=float))
    np.testing.assert_allclose(list(marks.values()), when[np.isfinite(when)], atol=0.5)


def test_bars_of_change_are_means_over_seeds(section):
    found, results, _ = section
    shown = next(s for s in found.chapters if s.chapter.number == "F5")
    rows = [r for r in shown.pictures[0].spec["data"]["values"] if r["layer"] == "2"]
    curves = [results.curve("to_final", run, "cka").values[2, 0] for run in ("cnn/seed0", "cnn/seed1")]
    np.testing.assert_allclose([r["change"] for r in rows], [1 - c for c in curves], atol=1e-4)
    assert sum(r["most"] for r in shown.pictures[0].spec["data"]["values"]) == 2  # one layer, two seeds


def test_dots_of_word_errors_leave_the_final_checkpoint_out(section):
    found, results, _ = section
    shown = next(s for s in found.chapters if s.chapter.number == "F9")
    over = {p.key: p.spec["data"]["values"] for p in shown.pictures}
    assert set(over) == {"wer-checkpoints", "wer-runs"}  # of speech nothing was asked
    mine = [r for r in over["wer-checkpoints"] if r["run"] == "lstm/seed0"]
    assert len(mine) == len(STEPS) - 1
    np.testing.assert_allclose(
        mine[1]["x"], results.curve("to_final", "lstm/seed0", "cka").values[:, 1].mean(), atol=1e-4
    )
    assert len(over["wer-runs"]) == 4


def test_the_strip_of_ways_tells_sides_by_sign_and_word(section):
    found, _, _ = section
    shown = next(s for s in found.chapters if s.chapter.number == "F10")
    (picture,) = shown.pictures
    rows = picture.spec["data"]["values"]
    for f in shown.chapter.told:
        mine = [r for r in rows if r["finding"] == f"{f.id.removeprefix('F10-')} {f.of}"]
        own, *others = f.details.values()
        least = mine[0]["least"]
        sides = [
            "no answer" if e != e else "same side" if (e > least) == (own > least) else "other side" for e in others
        ]
        assert [r["side"] for r in mine] == ["the finding", *sides]
        assert {r["text"][0] for r in mine if r["side"] == "other side"} <= {"≠"}
        same = np.mean([side == "same side" for side in sides])
        assert same == pytest.approx(f.effect.value)


def test_every_figure_of_the_page_tells_what_it_shows(section, with_findings):
    data = Page(with_findings / "report.html").data()
    figures = data["specs"]["figures"]
    drawn_keys = {p.key for p in section[0].drawn}
    assert drawn_keys <= set(figures)
    for key, spec in figures.items():
        assert len(spec["description"]) > 40, key
    assert "by cka" in figures["final-cnn"]["description"]


def test_pictures_are_written_as_svg_and_png(with_findings):
    figures = with_findings / "figures"
    stems = {p.stem for p in figures.glob("*.svg")}
    expected = {"F1", "F1-forest", "F2", "F9", "F10", "F11-forest", "content", "content-training-phones_probe"}
    assert expected <= stems
    for stem in stems:
        assert (figures / f"{stem}.png").read_bytes().startswith(b"\x89PNG")
    forest = (figures / "F1-forest.svg").read_text(encoding="utf-8")
    assert "what counts begins here" in forest
    assert drawn(ElementTree.parse(figures / "F4.svg").getroot()) >= 3 * 25 + 3 * 2


def test_a_distance_makes_pictures_of_distance(tmp_path):
    folder = make_study(tmp_path, {"cnn/seed0": 5, "cnn/seed1": 5}, measures=["procrustes"])
    results = Results.load(folder / "results.nc")
    payload = build_payload(results)
    found = findings_section(make_findings(results.runs, ["procrustes"], layers=5), results, payload)
    bars = next(s for s in found.chapters if s.chapter.number == "F5").pictures[0].spec["data"]["values"]
    moved = results.curve("to_final", "cnn/seed0", "procrustes").values[:, 0]
    np.testing.assert_allclose([r["change"] for r in bars if r["run"] == "cnn/seed0"], moved, atol=1e-4)
    curves = next(s for s in found.chapters if s.chapter.number == "F2").pictures[0].spec["data"]["values"]
    assert sum("settled" in r for r in curves) == 5  # on the way down to 0
    assert "distance" in json.dumps(found.drawn[0].spec | {"all": [p.spec for p in found.drawn]})


# Content


def test_content_has_curves_with_bands_and_dashed_baselines(with_findings):
    results = Results.load(with_findings / "results.nc")
    section = content_section(results.content, build_payload(results))
    assert [p.key for p in section.profiles] == [
        f"content-{x}-{m}" for x in ("phones", "position") for m in ("probe", "cka")
    ]
    rows = section.profiles[0].spec["data"]["values"]
    own = [r for r in rows if r["run"] == "cnn/seed1"]
    assert [r["depth"] for r in own] == [0, 1, 2, 3, 4, 5]
    assert [r["value"] for r in own] == pytest.approx([0.2, 0.3, 0.4, 0.5, 0.6, 0.7])
    assert all(r["low"] < r["value"] < r["high"] for r in own)
    assert {r["baseline"] for r in rows} == {"", "untrained", "chance", "shuffled"}
    assert {r["value"] for r in rows if r["baseline"] == "chance"} == {0.1}
    assert "cnn/seed0: most, 0.70, at 4." in section.profiles[0].described


def test_content_through_training_has_every_checkpoint(with_findings):
    results = Results.load(with_findings / "results.nc")
    section = content_section(results.content, build_payload(results))
    assert [title for title, _ in section.training] == ["phones, probe", "position, probe"]
    lstm = section.training[0][1][1]
    assert (lstm.title, lstm.note) == ("lstm", "seed0")
    assert {r["step"] for r in lstm.spec["data"]["values"]} == set(STEPS)
    assert len(lstm.spec["data"]["values"]) == 5 * len(STEPS)  # without the input, which does not change
    assert "too few of zh" in Page(with_findings / "report.html").text


# Size and time


@pytest.mark.long
def test_a_study_of_the_usual_size_stays_light(tmp_path):
    folder = write_large(tmp_path, findings=False)
    results = Results.load(folder / "results.nc")
    assert (len(results.runs), len(results.steps("cnn/seed0")), len(results.measures), results.blocks) == (
        12,
        16,
        6,
        20,
    )
    save(make_findings(results.runs, results.measures, layers=9), folder / "findings.json", about_study(results))
    before = time.process_time()
    page = write_report(folder)
    assert time.process_time() - before < 120  # seconds of processor time; about 40 on a laptop
    assert page.stat().st_size < 8e6
