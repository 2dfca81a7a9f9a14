"""Which training step a checkpoint is of, from the names of the checkpoints of a training."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

__all__ = ["Steps", "steps_of_names", "steps_of_revisions"]

STEPS = ("step", "iteration", "iter", "update", "batch")
"""What numbers of steps are called in names, the best first: `epoch=3-step=400.ckpt` is of step 400."""

OTHERS = ("epoch", "checkpoint")
"""What else numbers by which checkpoints can be ordered are called."""

THOUSANDS = {"k": 1_000, "K": 1_000, "M": 1_000_000, "B": 1_000_000_000}
"""Letters behind a number that multiply it. With any other there it is no number: what that stands for is unknown."""

NUMBER = r"(?P<number>\d+(?:\.\d+(?=[kKMB](?![^\W_])))?)(?P<unit>[kKMB]?)(?![^\W_])"
"""`100`, `100k`, `1.5M`, with no letter behind it."""

GROUPED = r"(?P<grouped>[1-9]\d{0,2}(?:_\d{3})+)(?!_?\d|[^\W_])"
"""`1_000`, as Python writes thousands. Only steps are: `epoch_1_100.pt` is more likely of epoch 1."""


class Steps(NamedTuple):
    """Step by name, for the names that have one, and how it was told."""

    of: dict[str, int]
    told_by: str


def steps_of_names(names: Sequence[str]) -> Steps:
    """The steps in names of files or folders.

    That is the number after one of the words that are used for it, or else the first number by which the names of one
    form differ; `10k`, `1M` and `1B` are thousands, millions and billions. Names without it are left out.

    >>> steps_of_names(["epoch=0-step=4.ckpt", "epoch=1-step=8.ckpt", "last.ckpt"])
    Steps(of={'epoch=0-step=4.ckpt': 4, 'epoch=1-step=8.ckpt': 8}, told_by='the number after "step" in the names')
    >>> steps_of_names(["wav_16k_000100.pt", "wav_16k_000200.pt", "notes.pt"]).told_by
    'the number in the place of # in wav_16k_#.pt'
    >>> steps_of_names(["step500M", "step1B"]).of
    {'step500M': 500000000, 'step1B': 1000000000}
    """
    return _by_word(names) or _by_form(names)


def steps_of_revisions(revisions: Sequence[str]) -> Steps:
    """The steps in names of branches, tags or commits; where any has none, they are counted as they come.

    >>> steps_of_revisions(["step1000", "step2000"]).of
    {'step1000': 1000, 'step2000': 2000}
    >>> steps_of_revisions(["half", "main"])
    Steps(of={'half': 0, 'main': 1}, told_by='the order in which the revisions were given, from 0')
    """
    worded = _by_word(revisions)
    if worded is not None and len(set(worded.of.values())) == len(revisions):
        return worded
    # Neither the digits of a commit nor those of a version (v1.10 comes after v1.9): both stand behind what is no word.
    matches = {name: re.fullmatch(rf"(?:.*(?:[^\W\da-f]|[-_=/]))?{NUMBER}", name) for name in revisions}
    found = {name: _value(match) for name, match in matches.items() if match and len(match["number"]) <= 12}
    if len(set(found.values())) == len(revisions) and not any(re.search(r"\d\.\d", name) for name in revisions):
        return Steps(found, "the numbers in the revisions")
    return Steps({name: i for i, name in enumerate(revisions)}, "the order in which the revisions were given, from 0")


def _by_word(names: Sequence[str]) -> Steps | None:
    """By the first word whose numbers tell names apart."""
    for word in (*STEPS, *OTHERS):
        number = f"(?:{GROUPED}|{NUMBER})" if word in STEPS else NUMBER
        after = re.compile(rf"(?:^|[^A-Za-z])(?i:{word}s?)[-_=.]?{number}")
        found = {name: _value(match) for name in names if (match := after.search(name))}
        if len(set(found.values())) > 1 or (found and len(names) == 1):
            return Steps(found, f'the number after "{word}" in the names')
    return None


def _value(match: re.Match[str]) -> int:
    parts = match.groupdict()
    if parts.get("grouped"):
        return int(parts["grouped"])
    return round(float(parts["number"]) * THOUSANDS[parts["unit"]]) if parts["unit"] else int(parts["number"])


def _by_form(names: Sequence[str]) -> Steps:
    """By the commonest form of the names, numbers left out."""
    number = re.compile(rf"{NUMBER}|(?P<digits>\d+)")
    forms = {name: number.sub("#", name) for name in names}
    counts = Counter(form for form in forms.values() if "#" in form)
    if not counts:
        return Steps({}, "")
    form, _ = counts.most_common(1)[0]
    written = {name: list(number.finditer(name)) for name in names if forms[name] == form}
    numbers = {name: [int(m["digits"]) if m["digits"] else _value(m) for m in own] for name, own in written.items()}
    columns = list(zip(*numbers.values(), strict=True))
    differing = [i for i, column in enumerate(columns) if len(set(column)) > 1]
    telling = [i for i in differing if len(set(columns[i])) == len(numbers)]
    at = (telling or differing or [0])[0]
    first = iter(enumerate(next(iter(written.values()))))

    def shown(_: re.Match[str]) -> str:
        i, match = next(first)
        return "#" if i == at else "*" if i in differing else match[0]

    return Steps(
        {name: row[at] for name, row in numbers.items()},
        f"the number in the place of # in {re.sub('#', shown, form)}",
    )
