"""Which training step a checkpoint is of, from the names of the checkpoints of a training."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

__all__ = ["Steps", "steps_of_names", "steps_of_revisions"]

WORDS = ("step", "iteration", "iter", "update", "batch", "epoch", "checkpoint")
"""What numbers in names are called, the best first: `epoch=3-step=400.ckpt` is of step 400."""


class Steps(NamedTuple):
    """Step by name, for the names that have one, and how it was told."""

    of: dict[str, int]
    told_by: str


def steps_of_names(names: Sequence[str]) -> Steps:
    """The steps in names of files or folders.

    That is the number after one of the words that are used for it, or else the first number by which the names of one
    form differ. Names without it are left out.

    >>> steps_of_names(["epoch=0-step=4.ckpt", "epoch=1-step=8.ckpt", "last.ckpt"])
    Steps(of={'epoch=0-step=4.ckpt': 4, 'epoch=1-step=8.ckpt': 8}, told_by='the number after "step" in the names')
    >>> steps_of_names(["wav_16k_000100.pt", "wav_16k_000200.pt", "notes.pt"]).told_by
    'the number in the place of # in wav_16k_#.pt'
    """
    for word in WORDS:
        after = re.compile(rf"(?:^|[^a-z]){word}s?[-_=.]?(\d+)", re.IGNORECASE)
        found = {name: int(match[1]) for name in names if (match := after.search(name))}
        if len(set(found.values())) > 1 or (found and len(names) == 1):
            return Steps(found, f'the number after "{word}" in the names')
    return _by_form(names)


def steps_of_revisions(revisions: Sequence[str]) -> Steps:
    """The steps in names of branches, tags or commits; where any has none, they are counted as they come.

    >>> steps_of_revisions(["step1000", "step2000"]).of
    {'step1000': 1000, 'step2000': 2000}
    >>> steps_of_revisions(["half", "main"])
    Steps(of={'half': 0, 'main': 1}, told_by='the order in which the revisions were given, from 0')
    """
    found = {name: match for name in revisions if (match := re.fullmatch(r"(?:.*[^\da-f])?(?:step)?(\d{1,12})", name))}
    if len({match[1] for match in found.values()}) == len(revisions):
        return Steps({name: int(match[1]) for name, match in found.items()}, "the numbers in the revisions")
    return Steps({name: i for i, name in enumerate(revisions)}, "the order in which the revisions were given, from 0")


def _by_form(names: Sequence[str]) -> Steps:
    """By the commonest form of the names, numbers left out."""
    forms = {name: re.sub(r"\d+", "#", name) for name in names}
    counts = Counter(form for form in forms.values() if "#" in form)
    if not counts:
        return Steps({}, "")
    form, _ = counts.most_common(1)[0]
    numbers = {name: list(map(int, re.findall(r"\d+", name))) for name in names if forms[name] == form}
    columns = list(zip(*numbers.values(), strict=True))
    differing = [i for i, column in enumerate(columns) if len(set(column)) > 1]
    telling = [i for i in differing if len(set(columns[i])) == len(numbers)]
    at = (telling or differing or [0])[0]
    same = iter(range(len(columns)))
    shown = re.sub(
        "#", lambda _: "#" if (i := next(same)) == at else "*" if i in differing else str(columns[i][0]), form
    )
    return Steps({name: row[at] for name, row in numbers.items()}, f"the number in the place of # in {shown}")
