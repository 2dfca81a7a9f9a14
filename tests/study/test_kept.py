"""What units leave: values by kind and measure, added to, and done anew where what they depend on is another."""

import json
import math
from dataclasses import replace

import pytest

from otoscope.measures import registry
from otoscope.study.kept import Measured, keep, left_of, read_about, read_unit
from otoscope.study.rows import Comparison, Refusal
from otoscope.study.units import Checkpoint, Unit

NOW, FINAL = Checkpoint("a/seed0", 3, None), Checkpoint("a/seed0", 9, None)


def unit(measures=("cka", "pwcca"), kinds=("within", "to_final"), probe=""):
    return Unit(tuple(kinds), (NOW, FINAL, NOW), tuple(map(registry.get, measures)), probe=probe)


def keys_of(one, **changed):
    return {(k, m.name): changed.get(m.name, changed.get(k, "key")) for k in one.kinds for m in one.measures}


def measured(one, value=0.5):
    """Two comparisons of each kind, the second refused by pwcca."""
    found = {}
    for kind in one.kinds:
        step = 3 if kind == "within" else 9
        names = [m.name for m in one.measures]
        first = Comparison(
            *(kind, "a/seed0", 3, "x", "a/seed0", step, "x"),
            dict.fromkeys(names, value),
            dict.fromkeys(names, 0.1),
            dict.fromkeys(names, value - 0.1),
            dict.fromkeys(names, value + 0.1),
            dict.fromkeys(names, (value, value / 3)),
            one.probe,
        )
        second = replace(
            first,
            layer_y="y",
            similarity={n: math.nan if n == "pwcca" else value for n in names},
            left_out={n: () if n == "pwcca" else (value, value) for n in names},
        )
        refusals = [Refusal("pwcca", "a/seed0", "x", "no", 3, 2, one.probe)] if "pwcca" in names else []
        found[kind] = Measured((first, second), tuple(refusals), (), 100, 4, (0, 0), 0.04)
    return found


def test_what_was_kept_is_read_as_it_was(tmp_path):
    one = unit(probe="coarse")
    keep(one, tmp_path, keys_of(one), measured(one), {"note": "so"})
    again = read_unit(one, tmp_path)
    assert (again.frames, again.utterances, again.sampled, again.grid) == (100, 4, (0, 0), 0.04)
    assert again.refusals == (Refusal("pwcca", "a/seed0", "x", "no", 3, 4, "coarse"),), "of both kinds together"
    assert read_about(one, tmp_path) == {"note": "so"}
    expected = [c for part in measured(one).values() for c in part.comparisons]
    assert [repr(c) for c in again.comparisons] == [repr(_rounded(c)) for c in expected]


def _rounded(comparison):
    left = {name: tuple(float(f"{v:.9g}") for v in values) for name, values in comparison.left_out.items()}
    return replace(comparison, left_out=left)


def test_a_measure_or_a_kind_is_added_to_what_is_there(tmp_path):
    first = unit(["cka"], ["within"])
    assert left_of(first, tmp_path, keys_of(first)) == [first]
    keep(first, tmp_path, keys_of(first), measured(first, 0.25))
    assert left_of(first, tmp_path, keys_of(first)) == []
    more = unit(["cka", "pwcca"], ["within", "to_final"])
    left = left_of(more, tmp_path, keys_of(more))
    assert [(part.kinds, [m.name for m in part.measures]) for part in left] == [
        (("to_final",), ["cka"]),
        (("within", "to_final"), ["pwcca"]),
    ]
    for part in left:
        keep(part, tmp_path, keys_of(more), measured(part, 0.75))
    found = read_unit(more, tmp_path).comparisons
    assert [c.similarity["cka"] for c in found if c.kind == "within"] == [0.25, 0.25], "not done again"
    assert [c.similarity["cka"] for c in found if c.kind == "to_final"] == [0.75, 0.75]
    assert left_of(more, tmp_path, keys_of(more)) == []
    assert left_of(first, tmp_path, keys_of(first)) == [], "what is asked for no more stays"


@pytest.mark.parametrize(
    ("changed", "left"),
    [({"cka": "other"}, (("within", "to_final"), ["cka"])), ({"to_final": "other"}, (("to_final",), ["cka", "pwcca"]))],
)
def test_what_depends_on_something_else_is_done_anew(tmp_path, changed, left):
    one = unit()
    keep(one, tmp_path, keys_of(one), measured(one))
    (part,) = left_of(one, tmp_path, keys_of(one, **changed))
    assert (part.kinds, [m.name for m in part.measures]) == left


@pytest.mark.parametrize(
    "content", ["{", "[]", "{}", '{"parts": 3}', '{"parts": {"within": 3}}', '{"key": "of before"}']
)
def test_a_damaged_file_or_one_of_before_is_done_anew(tmp_path, content):
    one = unit()
    (tmp_path / f"{one.name}.json").write_text(content)
    assert left_of(one, tmp_path, keys_of(one)) == [one]
    keep(one, tmp_path, keys_of(one), measured(one))
    assert left_of(one, tmp_path, keys_of(one)) == []
    assert set(json.loads((tmp_path / f"{one.name}.json").read_text())["parts"]) == {"within", "to_final"}
