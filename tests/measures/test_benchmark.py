"""The benchmark runs: one of ours, a formula beside it, the pass and the growth, on tiny layers."""

import pytest
from benchmarks.measures import records, table
from benchmarks.measures.__main__ import main
from benchmarks.measures.data import CASES, QUICK, make
from benchmarks.measures.reference import values
from benchmarks.peers import METHODS, formulas


def test_a_quick_run_leaves_records_and_a_table(tmp_path):
    chosen = ["--quick", "--case", "A", "--threads", "1", "--out", str(tmp_path)]
    assert main([*chosen, "--measure", "cca", "--method", "otoscope", "covariances"]) == 0
    assert main([*chosen, "--part", "pass", "growth"]) == 0
    found = records.read(tmp_path / "runs.jsonl")
    ours, theirs, careful = (r for r in found if r["kind"] == "speed")
    assert (ours["name"], theirs["name"]) == ("otoscope", formulas.COVARIANCES)
    assert ours["errors"]["cca"] < 1e-6
    assert table.right(theirs)
    assert careful["careful"]
    assert all(r["cpu"] > 0 and r["peak"] >= 0 for r in (ours, theirs))
    (one,) = (r for r in found if r["kind"] == "pass")
    assert one["passes"]["sums"]["rate"] < one["best"]["rate"]
    assert one["passes"]["sums"]["moments"] < one["passes"]["sums with utterances"]["moments"]
    assert [r["frames_streamed"] for r in found if r["kind"] == "growth"] == [5_000]
    page = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert "| `cca` | " in page
    assert "## More and more speech" in page


def test_a_later_record_replaces_an_earlier_one():
    first, second = ({"kind": "environment", "run": run} for run in ("1", "2"))
    old = {"kind": "speed", "run": "1", "case": "A", "name": "otoscope", "measure": "cca", "threads": 1, "cpu": 2.0}
    new = {**old, "run": "2", "cpu": 1.0}
    assert records.merged([first, old], [second, new]) == [second, new]
    assert records.merged([first, old], [second, {**new, "threads": 2}])[0] == first


@pytest.mark.parametrize("method", [m for m in METHODS if m.needs is None and not m.wrong], ids=lambda m: m.key)
def test_the_formulas_that_we_compare_with_are_right(method):
    case = QUICK["A"]
    data = make(case)
    exact = values(case, data)[method.measure][0]
    x, y = (method.prepare(data.first[k]) for k in (0, 1))
    assert method.pair(x, y) == pytest.approx(exact, abs=1e-5)


def test_cases_are_as_large_as_they_are_said_to_be():
    assert [len(CASES[name].pairs) for name in "ABC"] == [66, 276, 144]
    data = make(QUICK["C"])
    assert sum(data.lengths) == QUICK["C"].frames
    assert [x.shape for x in (data.first[0], data.second[0])] == [(2000, 24), (2000, 32)]
    again = make(QUICK["C"])
    assert all((a == b).all() for a, b in zip(data.first, again.first, strict=True))
