"""The page in headless Chromium without network: no error, no request, and controls that do what they say."""

import os
import shutil
from pathlib import Path

import pytest

from otoscope.report import write_report
from otoscope.report.claims import CHIPS, span
from otoscope.study.findings.writing import load
from otoscope.study.results import Results
from tests.report.studies import HALF_WIDTH, STEPS, make_study

CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
CELLS = "[...document.querySelectorAll('[data-panels=\"{}\"] .mark-rect.role-mark path')]"


@pytest.fixture(scope="module")
def browser():
    if not Path(CHROMIUM).exists():
        told = "Chromium is not installed; install Debian's package chromium to test the page in a browser"
        if os.environ.get("CI"):
            pytest.fail(told)
        pytest.skip(told)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield started
        started.close()


@pytest.fixture
def visit(browser):
    """Open a page; at the end of the test nothing may have gone wrong in it."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, offline=True)
    context.set_default_timeout(10_000)
    wrong, requests = [], []

    def open_page(path):
        page = context.new_page()
        page.on("console", lambda message: wrong.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: wrong.append(f"error: {error}"))
        page.on("requestfailed", lambda request: wrong.append(f"failed: {request.url}"))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(path.as_uri())
        page.evaluate("otoscope.ready.then(() => true)")
        return page

    yield open_page
    context.close()
    assert wrong == []
    assert [url for url in requests if not url.startswith(("file:", "data:"))] == []


def fills(page, panel):
    return page.evaluate(f"{CELLS.format(panel)}.map((cell) => cell.getAttribute('fill'))")


def settle(page):
    page.evaluate("new Promise((done) => setTimeout(done, 300))")


def test_every_panel_is_drawn_and_the_slider_changes_the_heatmaps(three, visit):
    page = visit(three / "report.html")
    shown = {"within": 25 + 16 + 36, "across": 25 + 20 + 30 + 24, "baselines": 3 * (25 + 16 + 36)}
    before = fills(page, "within")
    assert {panel: len(fills(page, panel)) for panel in shown} == shown
    for panel in ("to_final", "to_previous"):
        assert page.locator(f'[data-panels="{panel}"] svg.marks').count() == 3
    assert page.locator("[data-score] svg.marks").count() == 6
    page.locator("#step").fill("0")
    settle(page)
    after = fills(page, "within")
    assert after != before
    assert "step 0" in page.locator("#step-text").inner_text()
    assert "WER 100.0\u00a0%" in page.locator('[data-panels="within"] figcaption').first.inner_text()


def test_a_cell_tells_its_value(three, visit):
    page = visit(three / "report.html")
    page.locator('[data-panels="within"] .mark-rect.role-mark path').nth(1).hover()
    tooltip = page.locator("#vg-tooltip-element")
    tooltip.wait_for(state="visible")
    value = Results.load(three / "results.nc").within("cnn/seed0", STEPS[-1], "cka").values[0, 1]
    assert f"{value:.3f}" in tooltip.inner_text()
    assert "null level" in tooltip.inner_text()


def test_the_measure_changes_all_panels_and_missing_values_are_grey_with_their_reason(three, visit):
    page = visit(three / "report.html")
    before = {panel: fills(page, panel) for panel in ("within", "across", "baselines")}
    page.locator("#measure").select_option("cca")
    settle(page)
    for panel, old in before.items():
        assert fills(page, panel) != old
    assert fills(page, "within").count("#c9c9c9") == 9 + 7 + 11
    page.locator('[data-panels="within"] path[fill="#c9c9c9"]').first.hover()
    tooltip = page.locator("#vg-tooltip-element")
    tooltip.wait_for(state="visible")
    assert "not computed: 12 frames for 7 units: too few" in tooltip.inner_text()


def test_the_seed_and_the_untrained_state_can_be_chosen(three, visit):
    page = visit(three / "report.html")
    first = fills(page, "within")
    page.locator("#seed").select_option("seed1")
    page.wait_for_function("document.querySelector('[data-panels=\"within\"] figcaption').innerText.includes('seed1')")
    settle(page)
    assert fills(page, "within")[:25] != first[:25]
    assert fills(page, "within")[25:] == first[25:]
    across = fills(page, "across")
    page.locator("#when").select_option("first")
    settle(page)
    assert fills(page, "across") != across


def test_a_distance_has_charts_of_its_own_and_intervals_are_told(with_intervals, visit):
    page = visit(with_intervals / "report.html")
    similar = fills(page, "within")
    assert page.locator("#scale-left").inner_text() == "0"
    page.locator("#measure").select_option("procrustes")
    page.wait_for_function("document.getElementById('scale-right').innerText === '0 (alike)'")
    settle(page)
    distant = fills(page, "within")
    diagonal = [5 * k for k in range(4)]  # cells come row by row
    assert {similar[k] for k in diagonal} == {distant[k] for k in diagonal}  # a layer is most alike to itself by both
    assert distant != similar
    assert "This measure is a distance" in page.locator("#within .note").inner_text()
    assert "Colours are fixed from 0 to 1" not in page.locator("#within .note").inner_text()
    page.locator('[data-panels="within"] .mark-rect.role-mark path').nth(1).hover()
    tooltip = page.locator("#vg-tooltip-element")
    tooltip.wait_for(state="visible")
    value = Results.load(with_intervals / "results.nc").within("cnn/seed0", STEPS[-1], "procrustes").values[0, 1]
    assert f"{value - HALF_WIDTH:.3f} to {value + HALF_WIDTH:.3f}" in tooltip.inner_text()
    assert "distance" in tooltip.inner_text()
    page.locator("#measure").select_option("cka")
    page.wait_for_function("document.getElementById('scale-right').innerText === '1'")
    settle(page)
    assert fills(page, "within") == similar


def test_findings_and_content_are_drawn(with_findings, visit):
    page = visit(with_findings / "report.html")
    places = page.locator("[data-figure]").count()
    assert places > 40
    assert page.locator("[data-figure] svg.marks").count() == places
    empty = """[...document.querySelectorAll('[data-figure]')].filter(place => (
        ![...place.querySelectorAll('.role-mark path, .role-mark line, .role-mark text')].some(
            mark => mark.getAttribute('d') || mark.tagName === 'line' || mark.textContent)
    )).map(place => place.dataset.figure)"""
    assert page.evaluate(empty) == []
    dots = page.locator("[data-figure='forest-F1'] .mark-symbol.role-mark path")
    assert dots.count() == 3 + 2 * 3  # an effect, its untrained and its shuffled baseline, each of three recognisers
    dots.nth(6).hover()
    tooltip = page.locator("#vg-tooltip-element")
    tooltip.wait_for(state="visible")
    first = next(f for f in load(with_findings / "findings.json") if f.id == "F1")
    assert span(first.effect) in tooltip.inner_text()


def test_every_figure_has_an_accessible_text_of_its_own(with_findings, visit):
    page = visit(with_findings / "report.html")
    labels = page.evaluate(
        "[...document.querySelectorAll('[role=graphics-document]')].map(e => e.getAttribute('aria-label'))"
    )
    assert len(labels) == page.locator(".chart svg.marks").count()
    assert min(map(len, labels)) > 15
    # F1 and F3 show the same matrices; nothing else is there twice.
    assert {label for label in labels if labels.count(label) > 1} <= {
        x for x in labels if x.startswith("Every two layers")
    }
    assert page.locator(".chip").count() > 30
    assert {chip.split(maxsplit=1)[1] for chip in page.locator(".chip").all_inner_texts() if chip} <= set(CHIPS)


def test_on_paper_nothing_is_folded_or_cut(with_findings, visit):
    page = visit(with_findings / "report.html")
    folded = "document.querySelectorAll('details:not([open]):not(.vega-embed *)').length"
    before = page.evaluate(folded)
    page.emulate_media(media="print")
    page.set_viewport_size({"width": 703, "height": 1000})  # A4 with margins of 12 mm
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert before > 10
    assert page.evaluate(folded) == 0
    cut = """[...document.querySelectorAll('table, svg.marks, p, figure')].filter(part => (
        part.getBoundingClientRect().right > innerWidth + 1)).map(part => part.outerHTML.slice(0, 80))"""
    assert page.evaluate(cut) == []
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.evaluate(folded) == before


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_sticks_out_sideways(three, with_findings, visit, width):
    for folder in (three, with_findings):
        page = visit(folder / "report.html")
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_odd_names_are_shown_as_they_are(tmp_path, visit):
    run = "c<b>'\"& é音/seed0"
    folder = make_study(
        tmp_path, {run: 2}, names="<img src=x onerror=alert(1)>{}", title="</title><b>x", measures=["cka"]
    )
    page = visit(write_report(folder))
    assert page.locator("h1").inner_text() == "</title><b>x"
    assert page.locator('[data-panels="within"] figcaption b').inner_text() == run.rpartition("/")[0]
    page.locator('[data-panels="within"] .mark-rect.role-mark path').first.hover()
    page.locator("#vg-tooltip-element").wait_for(state="visible")
    assert page.locator("img").count() == 0
