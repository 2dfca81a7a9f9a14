"""The tables of docs/results/measures/, from the records."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path

from benchmarks.measures.data import CASES, QUICK
from benchmarks.measures.records import Record

__all__ = ["right", "write"]

CLOSE = 1e-3
EXACT = "cka-biased"
INTERVALS = " with intervals"

TARGETS: dict[str, dict[str, float]] = {
    "A": {"cka-biased": 2.5, "cka-debiased": 2.5, "cka-minibatch": 2, "cca": 4, "pwcca": 4, "svcca": 40, "family": 1},
    "B": {"cka-biased": 5, "cka-debiased": 5, "cka-minibatch": 2, "cca": 4, "pwcca": 4, "svcca": 40, "family": 1},
    "C": {"cka-biased": 3, "cka-debiased": 3, "cca": 3, "svcca": 3, "pwcca": 3, "bures": 3},
}
"""How many times as fast as the fastest right peer each is meant to be; the family against its exact linear CKA."""

INTERVALS_MOST = 1.5
SHARE, MEMORY = 0.80, 1.5
MILLION_MOST = 2**30


def right(record: Record) -> bool:
    """Whether a peer's values can be compared with: it ran, nothing is known to be wrong, and it is close enough."""
    if "cpu" not in record or record.get("wrong"):
        return False
    error = (record.get("errors") or {}).get(record["measure"])
    return record["measure"] == "cka-minibatch" or (error is not None and error <= CLOSE)


def write(folder: Path, found: list[Record]) -> None:
    """README.md of what was timed, and differences.md of what was compared."""
    folder.mkdir(parents=True, exist_ok=True)
    if any(r["kind"] not in ("environment", "differences") for r in found):
        (folder / "README.md").write_text("\n".join(_page(found)).rstrip() + "\n", encoding="utf-8")
    for record in found:
        if record["kind"] == "differences":
            from benchmarks.measures.differences import page

            (folder / "differences.md").write_text(page(record, _runs(found, [record])), encoding="utf-8")


def _page(found: list[Record]) -> Iterable[str]:
    shown = [r for r in found if r["kind"] not in ("environment", "differences")]
    yield "# Speed and memory of the measures"
    yield ""
    yield "Written by `make bench`. CPU seconds of the best of a few runs, each in a process of its own; errors are the"
    yield "largest difference from a float64 reference over up to ten pairs of each case, spread over all of them."
    yield "Ratios are of CPU seconds, to the fastest peer whose values are right: nothing known to be wrong, and no"
    yield f"more than {CLOSE:g} off."
    yield ""
    yield from _runs(found, shown)
    cases = QUICK if any(r.get("quick") for r in found) else CASES
    for case in cases:
        for threads in sorted({r["threads"] for r in shown if r["kind"] == "speed" and r["case"] == case}):
            here = [r for r in shown if r["kind"] == "speed" and (r["case"], r["threads"]) == (case, threads)]
            count = "one thread" if threads == 1 else f"{threads} threads"
            yield from (f"## Case {case}, {count}", "", cases[case].text + ".", "")
            yield from _ratios(case, here)
            yield from ("", "<details><summary>All methods</summary>", "", *_methods(here), "", "</details>", "")
    yield from _passes([r for r in shown if r["kind"] == "pass"])
    yield from _growth([r for r in shown if r["kind"] == "growth"])
    yield from _gpu([r for r in shown if r["kind"] == "gpu"])


def _runs(found: list[Record], shown: list[Record]) -> list[str]:
    lines = []
    for run in [r for r in found if r["kind"] == "environment"]:
        of = [r for r in shown if r["run"] == run["run"]]
        if of:
            versions = ", ".join(f"{k} {v}" for k, v in run["versions"].items())
            lines.append(f"- {run['date']}, commit {run['commit']}, `{run['command']}` ({len(of)} records)")
            lines.append(f"  on {run['machine']}; {run['system']}; {versions}")
    return [*lines, ""]


def _ratios(case: str, here: list[Record]) -> Iterable[str]:
    columns = ("measure", "otoscope, s", "wall, s", "memory, MiB", "error", "fastest right peer, s", "times as fast")
    columns = (*columns, "meant", "careful formula, s", "times as fast")
    yield f"| {' | '.join(columns)} |"
    yield "|---" * len(columns) + "|"
    mine = {r["measure"]: r for r in here if r["name"] == "otoscope"}
    for measure, record in mine.items():
        if "cpu" not in record:
            yield f"| `{measure}` | not measured: {record.get('failed', '')} |" + " |" * (len(columns) - 2)
            continue
        target = TARGETS.get(case, {}).get(measure)
        meant = "–" if target is None else f"{target:g}"
        plain = measure.removesuffix(INTERVALS)
        if plain != measure and "cpu" in mine.get(plain, {}):
            more = record["cpu"] / mine[plain]["cpu"]
            meant = f"at most {INTERVALS_MOST:g} × without: {more:.2f}"
        cells = [f"`{measure}`", f"{record['cpu']:.2f}", f"{record['wall']:.2f}", _mebibytes(record), _error(record)]
        against = EXACT if plain in ("family", "three CKA") else plain
        for careful in (False, True):
            rival = _fastest(here, against, careful=careful)
            named = "" if rival is None or careful else f" ({rival['name']})"
            cells.append("–" if rival is None else _seconds(rival) + named)
            cells.append("–" if rival is None else f"{rival['cpu'] / record['cpu']:.2f}")
            if not careful:
                cells.append(meant)
        yield f"| {' | '.join(cells)} |"
    yield ""
    yield "`family` is all of cka-biased, cka-debiased, cka (cross-utterance), cca, svcca, pwcca and procrustes from"
    yield "one pass; it stands against the peers' exact linear CKA alone. A careful formula is the plain one written"
    yield "for many layers: in numpy too, each layer's part done once. It is nobody's library, and stands beside them."


def _fastest(here: list[Record], measure: str, *, careful: bool) -> Record | None:
    timed = [r for r in here if r["measure"] == measure and r["name"] != "otoscope" and right(r)]
    return min((r for r in timed if r.get("careful", False) is careful), key=lambda r: r["cpu"], default=None)


def _methods(here: list[Record]) -> Iterable[str]:
    yield "| measure | method | what it does | type | CPU, s | wall, s | memory, MiB | error | remark |"
    yield "|---|---|---|---|---|---|---|---|---|"
    place = {name: k for k, name in enumerate(_measures(here))}
    for r in sorted(here, key=lambda r: (place[r["measure"]], r.get("cpu", math.inf))):
        remark = "; ".join(filter(None, [_wrong(r), _scaled(r), r.get("failed"), r.get("absent")]))
        wall = _figures(r["wall"]) if "wall" in r else "–"
        yield (
            f"| `{r['measure']}` | {r['name']} | {r.get('computes', '')} | {r.get('precision', '')} | "
            f"{_seconds(r) if 'cpu' in r else '–'} | {wall} | {_mebibytes(r)} | "
            f"{_error(r)} | {remark} |"
        )


def _measures(here: list[Record]) -> dict[str, None]:
    return dict.fromkeys(r["measure"] for r in here)


def _wrong(r: Record) -> str:
    return f"wrong: {r['wrong']}" if r.get("wrong") else ""


def _scaled(r: Record) -> str:
    parts = []
    if r.get("frames", 0) < r.get("all_frames", 0):
        parts.append(f"of {r['frames']:,} frames")
    if r.get("pairs", 0) < r.get("all_pairs", 0):
        parts.append(f"of {r['pairs']} of {r['all_pairs']} pairs")
    return "scaled from the time " + " and ".join(parts) if parts else ""


def _seconds(r: Record) -> str:
    return f"{'~' if _scaled(r) else ''}{_figures(r['cpu'])}"


def _figures(seconds: float) -> str:
    return f"{seconds:.2f}" if seconds < 100 else f"{seconds:,.0f}"


def _mebibytes(r: Record) -> str:
    return f"{r['peak'] / 2**20:.0f}" if r.get("peak") is not None else "–"


def _error(r: Record) -> str:
    """The largest over the measures that it made."""
    errors = [e for e in (r.get("errors") or {}).values() if e is not None]
    return f"{max(errors):.0e}" if errors else "–"


def _passes(found: list[Record]) -> Iterable[str]:
    if not found:
        return
    yield from ("## The accumulation pass", "")
    yield "The pass over the frames alone, as a share of the best float32 matrix product that torch shows in the same"
    yield "process at full accuracy (square and as a pass makes them, every precision setting). Counted are the"
    yield f"products of the upper block triangle. Meant: {SHARE:.0%} of that rate for the sums; at most {MEMORY:g} ×"
    yield "the moments' own size in memory beyond the data."
    yield ""
    yield "| case | threads | pass | wall, s | GFLOP/s | best product, GFLOP/s | share | memory, MiB | × the moments |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for r in found:
        if "failed" in r:
            yield f"| {r['case']} | {r['threads']} | not measured: {r['failed']} | | | | | | |"
            continue
        best = f"{r['best']['rate'] / 1e9:.0f} ({r['best']['shape']})"
        for name, p in r["passes"].items():
            memory = "–" if p["peak"] is None else f"{p['peak'] / p['moments']:.2f}"
            yield (
                f"| {r['case']} | {r['threads']} | {name} | {p['wall']:.2f} | {p['rate'] / 1e9:.0f} | {best} | "
                f"{p['rate'] / r['best']['rate']:.0%} | {_mebibytes(p)} | {memory} |"
            )
    yield ""


def _growth(found: list[Record]) -> Iterable[str]:
    if not found:
        return
    yield from ("## More and more speech", "")
    yield "12 layers × 256 units in batches of 4,800 frames, utterances kept apart: the pass, then the family on its"
    yield "moments. Memory is the highest above the loaded libraries, the batches among it. Meant: less than 1 GiB for"
    yield "a million frames."
    yield ""
    yield "| frames | pass, CPU s | wall, s | µs a frame (CPU) | measures after it, CPU s | memory, MiB |"
    yield "|---|---|---|---|---|---|"
    for r in sorted(found, key=lambda r: r["frames_streamed"]):
        if "failed" in r:
            yield f"| {r['frames_streamed']:,} | not measured: {r['failed']} | | | | |"
            continue
        frames = r["frames_streamed"]
        yield (
            f"| {frames:,} | {r['cpu']:.2f} | {r['wall']:.2f} | {1e6 * r['cpu'] / frames:.0f} | "
            f"{r['finish_cpu']:.2f} | {_mebibytes(r)} |"
        )
    yield ""


def _gpu(found: list[Record]) -> Iterable[str]:
    if not found:
        return
    yield from ("## On a GPU", "")
    yield "| case | GPU | pass, s | GFLOP/s | best product, GFLOP/s | share | family, s | off the CPU by |"
    yield "|---|---|---|---|---|---|---|---|"
    for r in found:
        if "failed" in r:
            yield f"| {r['case']} | not measured: {r['failed']} | | | | | | |"
            continue
        p = r["passes"]["sums"]
        yield (
            f"| {r['case']} | {r['gpu']} | {p['wall']:.3f} | {p['rate'] / 1e9:.0f} | {r['best']['rate'] / 1e9:.0f} | "
            f"{p['rate'] / r['best']['rate']:.0%} | {r['family']:.2f} | {r['difference']:.0e} |"
        )
    yield ""
