"""The detectors of F1 and F2 find what was built into representations, and nothing where it was not."""

from __future__ import annotations

import pytest

from otoscope.study.findings import QUESTIONS, find_all
from tests.study.findings.patterns import PATTERNS

DRAWS = 6
QUESTION = {question.id: question for question in QUESTIONS}


@pytest.mark.parametrize("id", PATTERNS)
@pytest.mark.parametrize(("built_in", "verdict"), [(True, "holds"), (False, "does not hold")])
def test_a_pattern_is_found_where_it_is_built_in_and_only_there(id, built_in, verdict):
    build = PATTERNS[id][0 if built_in else 1]
    verdicts = [find_all(build(seed), questions=[QUESTION[id]])[0].verdict for seed in range(DRAWS)]
    assert verdicts.count(verdict) >= DRAWS - 1, verdicts
