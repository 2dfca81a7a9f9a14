"""The report: one HTML page that needs nothing but itself, and the same figures as files."""

from __future__ import annotations

import json
import math
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
import markupsafe
import vl_convert

from otoscope.files import write_bytes
from otoscope.report.claims import CHIPS, ESTIMATORS, p_text, span
from otoscope.report.content import ContentSection, content_section
from otoscope.report.curves import score_spec
from otoscope.report.facts import corpus_problems, run_facts, study_facts
from otoscope.report.figures import AXES, SCORES, curve_specs, write_figures
from otoscope.report.findings import FindingsSection, findings_section
from otoscope.report.folder import StudyFolder
from otoscope.report.matrices import matrix_spec
from otoscope.report.methods import method_notes
from otoscope.report.payload import Payload, build_payload, default_runs
from otoscope.report.scores import score_points
from otoscope.report.summary import off_diagonal, summarise
from otoscope.report.text import plain
from otoscope.report.theme import BELOW_ZERO, CATEGORIES, CONFIG, MISSING, SEQUENCE

__all__ = ["write_report"]


def write_report(folder: Path | str) -> Path:
    """Write `report.html` and `figures/` into a study's folder.

    Use it on a folder that `otoscope study` wrote, finished or not; it reads `results.nc`, `manifest.json` and the
    training logs, and changes none of them. The page works without a network and can be moved on its own.

    Returns the page's path. Raises `StudyError` where the folder holds no results.

    >>> write_report("no-such-folder")
    Traceback (most recent call last):
    otoscope.errors.StudyError: no-such-folder is not a folder. Name the folder that `otoscope study` wrote.
    """
    study = StudyFolder.read(Path(folder))
    payload = build_payload(study.results)
    scores = score_points(study)
    findings = findings_section(study.findings or (), study.results, payload)
    content = content_section(study.results.content, payload)
    write_figures(study.path / "figures", payload, scores, findings, content)
    return write_bytes(study.path / "report.html", _page(study, payload, scores, findings, content).encode())


def _page(
    study: StudyFolder,
    payload: Payload,
    scores: list[dict[str, Any]],
    findings: FindingsSection | None,
    content: ContentSection | None,
) -> str:
    assets = files("otoscope.report") / "assets"
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("otoscope.report", "assets"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": lambda v: "–" if v is None else plain(v, 3),
        "plain": plain,
        "known": lambda v: plain(v) if math.isfinite(v) else "",
        "span": span,
        "p": p_text,
        "sentence": lambda text: text[:1].upper() + text[1:],
    }
    attrs = study.results.dataset.attrs
    drawn = [picture for section in (findings, content) if section for picture in section.drawn]
    return environment.get_template("page.html").render(
        title=attrs.get("title") or f"Study of {', '.join(r['name'] for r in payload['recognisers'])}",
        created=attrs.get("created", ""),
        summary=summarise(payload),
        missing_parts=study.results.missing,
        findings=findings,
        asked_for_findings=study.findings is not None,
        content=content,
        chips=CHIPS,
        estimators=ESTIMATORS,
        counts=_counts(payload),
        facts=study_facts(study),
        recognisers=run_facts(study),
        payload=payload,
        categories=CATEGORIES,
        quantities=[(name, title) for name, title, _ in SCORES if any(p["quantity"] == name for p in scores)],
        scale_ends=_scale_ends(payload),
        sequence=", ".join(SEQUENCE),
        missing=MISSING,
        below_zero=BELOW_ZERO if payload["lowest"] <= -0.05 else "",
        baselines=_baseline_table(payload),
        layers=_layers(study),
        methods=method_notes(payload["measures"]),
        refusals=(*study.results.refusals, *study.results.no_intervals),
        notes=study.notes,
        problems=corpus_problems(study),
        style=_inline((assets / "page.css").read_text(encoding="utf-8")),
        script=_inline((assets / "page.js").read_text(encoding="utf-8")),
        bundle=_bundle(),
        data=_inline(
            _json({**payload, "specs": {**_specs(payload, scores), "figures": {p.key: p.spec for p in drawn}}})
        ),
    )


@cache
def _bundle() -> markupsafe.Markup:
    """Vega, Vega-Lite and Vega-Embed as one script, once for all charts of a page."""
    return _inline(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;"))


def _specs(payload: Payload, scores: list[dict[str, Any]]) -> dict[str, Any]:
    """The charts' specifications; those with data that follows the controls come empty, for the page to fill."""
    names = [r["name"] for r in payload["recognisers"]]
    steps = sorted({step for run in payload["runs"].values() for step in run["steps"]})
    fixed = {}
    for quantity, title, percent in SCORES:
        points = [p for p in scores if p["quantity"] == quantity]
        for against in AXES if points else ():
            fixed[f"{quantity}-{against}"] = score_spec(
                points, recognisers=names, steps=steps, title=title, against=against, percent=percent
            )

    def charts(limit: float | None) -> dict[str, Any]:
        matrix = matrix_spec(lowest=payload["lowest"], limit=limit, intervals=bool(payload["intervals"]))
        return {"matrix": matrix, **curve_specs(payload, steps, limit)}

    distances = {measure: charts(limit) for measure, limit in payload["distances"].items()}
    return {"config": CONFIG, **charts(None), "distances": distances, "scores": fixed}


def _scale_ends(payload: Payload) -> tuple[str, str]:
    """What the ends of the colour scale mean for the study's first measure."""
    limit = payload["distances"].get(payload["measures"][0]) if payload["measures"] else None
    return ("0", "1") if limit is None else (plain(limit), "0 (alike)")


def _counts(payload: Payload) -> str:
    counted = (("run", payload["runs"]), ("recogniser", payload["recognisers"]), ("measure", payload["measures"]))
    runs, recognisers, measures = (f"{len(c)} {name}{'' if len(c) == 1 else 's'}" for name, c in counted)
    return f"{runs} of {recognisers}, {measures} of similarity between layers"


def _baseline_table(payload: Payload) -> list[dict[str, Any]]:
    """Mean similarity of different layers, by run and measure: trained, untrained, shuffled, and the null level."""
    rows = []
    for run in default_runs(payload):
        steps = payload["runs"][run]["steps"]
        final, first = str(steps[-1]), str(steps[0])
        within, shuffled = payload["within"].get(run, {}), payload["shuffled"].get(run, {})
        for measure in payload["measures"]:
            tables = (within.get(final), within.get(first), shuffled.get(final), shuffled.get(first))
            means = [_mean(off_diagonal(at and at[measure])) for at in tables]
            null = _mean(off_diagonal(within.get(final) and within[final][measure], nulls=True))
            rows.append({"run": run, "measure": measure, "means": means, "null": null})
    return rows


def _layers(study: StudyFolder) -> list[dict[str, Any]]:
    """Every layer's name, units, stride and kind, by recogniser (seeds of one recogniser share them)."""
    data = study.results.dataset
    columns = (data[name].values.tolist() for name in ("run_l", "layer_l", "layer_kind", "units", "stride", "index"))
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for run, layer, kind, units, stride, index in zip(*columns, strict=True):
        recogniser = run.rpartition("/")[0] or run
        row = {"recogniser": recogniser, "layer": layer, "kind": kind, "units": units, "index": index}
        rows.setdefault((recogniser, layer), {**row, "stride": f"{stride * 1000:g}" if stride == stride else "–"})
    return list(rows.values())


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _json(value: object) -> str:
    """JSON that may stand inside a script element, whatever names the study holds."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _inline(text: str) -> markupsafe.Markup:
    """Text for a script or style element, which HTML reads as it stands up to the closing tag."""
    if "</script" in text.lower() or "</style" in text.lower():
        raise AssertionError("an inlined asset would close its own element")
    return markupsafe.Markup(text)
