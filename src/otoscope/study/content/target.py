"""What is to be read off layers: the labelled rows, and how they are dealt to folds and blocks."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from otoscope.errors import StudyError
from otoscope.measures.inference import assign
from otoscope.study.clusters import UNKNOWN
from otoscope.study.content.gathering import Rows
from otoscope.study.content.label import Floats, Label, Parted

__all__ = ["FEWEST", "Target", "target_of"]

FEWEST = 3
"""Groups that reading takes: one to be tested on and two to be fitted to, each left out in turn for the interval."""

FOLDS = 5


@dataclass(frozen=True)
class Target:
    """One label's rows.

    Attributes:
        label: what they say.
        rows: (n,) which of the unit's rows have the label.
        values: (n,) the numbers of classes, or (n, columns) numbers.
        classes: the classes' names, by number; empty for numbers.
        utterances: (n,) each row's utterance.
        groups: (n,) each row's speaker or utterance: what no fold parts.
        grouped: which of the two.
        folds: (n,) the fold in which a row is tested.
        blocks: (n,) what is left out of the test for the interval.
        left_out: what was left out of the label's rows, counted by the reason.
    """

    label: Label
    rows: Tensor
    values: Tensor
    classes: tuple[str, ...]
    utterances: Tensor
    groups: Tensor
    grouped: Parted
    folds: Tensor
    blocks: Tensor
    left_out: Mapping[str, int]

    def parts(self) -> Iterator[tuple[Tensor, Tensor]]:
        """For each fold, which rows are fitted to and which are tested, as masks."""
        for fold in self.fold_numbers:
            test = self.folds == fold
            yield ~test, test

    def numbers(self) -> Tensor:
        """(n, columns): classes as one column each, 0 or 1; float32."""
        if not self.classes:
            return self.values.float()
        return torch.nn.functional.one_hot(self.values, len(self.classes)).float()

    @property
    def fold_numbers(self) -> list[int]:
        """The folds that hold rows."""
        return sorted(set(self.folds.tolist()))

    @property
    def group_count(self) -> int:
        """The speakers or utterances that the rows are of."""
        return len(set(self.groups.tolist()))

    def class_counts(self) -> dict[str, int]:
        """Each class and how many rows it has."""
        counts = torch.bincount(self.values, minlength=len(self.classes)).tolist() if self.classes else []
        return dict(zip(self.classes, counts, strict=True))

    def shuffled(self, seed: int) -> Target:
        """The same with each utterance's labels from another one, of about as many rows, turned round.

        What is left is what a layer says of any label that changes as these do, whatever is said.
        """
        random = np.random.default_rng(seed)
        ids, counts = np.unique(self.utterances.numpy(), return_counts=True)
        starts = dict(zip(ids.tolist(), np.searchsorted(self.utterances.numpy(), ids).tolist(), strict=True))
        sizes = dict(zip(ids.tolist(), counts.tolist(), strict=True))
        # At random first, so that utterances of the same number of rows are not paired within one speaker.
        order = sorted(random.permutation(ids).tolist(), key=lambda u: sizes[u])
        taken = np.empty(len(self.rows), dtype=np.intp)
        for own, other in zip(order, [*order[1:], order[0]], strict=True):
            turn = random.integers(sizes[other])
            there = starts[other] + (np.arange(sizes[own]) + turn) % sizes[other]
            taken[starts[own] : starts[own] + sizes[own]] = there
        return replace(self, values=self.values[torch.from_numpy(taken)])


def target_of(label: Label, rows: Rows, *, by: Parted = "speaker", folds: int = FOLDS) -> Target:
    """The rows that have a label, their folds and blocks.

    Arguments:
        label: what is read.
        rows: of the label's unit.
        by: what folds keep together, where the label does not ask for whole utterances.
        folds: how many; one for each group where these are fewer.

    Raises:
        StudyError: no row has the label; fewer than 3 groups; fewer than 2 classes.
    """
    grouped: Parted = "utterance" if label.parted == "utterance" else by
    groups = np.array([_group(rows, u, grouped) for u in range(len(rows.speech))])[rows.utterances.numpy()]
    left_out: Counter[str] = Counter(rows.left_out)
    values = rows.values[label.name]
    numbers, names = (values, None) if isinstance(values, np.ndarray) else (None, np.array(values))
    kept = np.isfinite(numbers).all(1) if numbers is not None else np.array([name != "" for name in values])
    left_out[f"{label.unit}s without a label"] += int((~kept).sum())
    classes: tuple[str, ...] = ()
    if names is not None:
        classes, rare = _frequent(names[kept].tolist(), groups[kept].tolist(), label)
        common = kept & np.isin(names, classes)
        left_out[f"{label.unit}s of {rare} rarer classes"] += int((kept & ~common).sum())
        kept = common
    _check(label, groups[kept], classes, grouped)
    index = torch.from_numpy(np.flatnonzero(kept))
    if names is not None:
        number = {name: i for i, name in enumerate(classes)}
        chosen = torch.tensor([number[name] for name in names[kept].tolist()])
    else:
        assert numbers is not None
        chosen = torch.from_numpy(numbers[kept])
    own = groups[kept].tolist()
    sizes = Counter[int | str](own)
    fold, block = assign(sizes, min(folds, len(sizes))), assign(sizes)
    numbered = {name: i for i, name in enumerate(sizes)}
    return Target(
        label=label,
        rows=index,
        values=chosen,
        classes=classes,
        utterances=rows.utterances[index],
        groups=torch.tensor([numbered[g] for g in own]),
        grouped=grouped,
        folds=torch.tensor([fold[g] for g in own]),
        blocks=torch.tensor([block[g] for g in own]),
        left_out={reason: count for reason, count in left_out.items() if count},
    )


def _group(rows: Rows, utterance: int, grouped: Parted) -> str:
    """The speaker, or the utterance: also where nobody knows who speaks."""
    speaker = rows.speech[utterance].speaker
    return f"speaker {speaker}" if grouped == "speaker" and speaker not in UNKNOWN else f"utterance {utterance}"


def _frequent(names: Sequence[str], groups: Sequence[str], label: Label) -> tuple[tuple[str, ...], int]:
    """The classes with enough rows of enough groups, the most frequent first; how many others there are."""
    counts, heard = Counter(names), defaultdict[str, set[str]](set)
    for name, group in zip(names, groups, strict=True):
        heard[name].add(group)
    enough = [n for n, count in counts.most_common() if count >= label.least and len(heard[n]) >= FEWEST]
    kept = enough[: label.most]
    return tuple(kept), len(counts) - len(kept)


def _check(label: Label, groups: Floats, classes: Sequence[str], grouped: Parted) -> None:
    if not len(groups) and label.kind == "numbers":
        raise StudyError(f"no {label.unit} of this speech has a label for {label.name}: give more speech")
    if label.kind == "classes" and len(classes) < 2:
        raise StudyError(
            f"{label.name} needs at least 2 classes, each with {label.least} {label.unit}s or more of {FEWEST} "
            f"{grouped}s or more, and this speech has {len(classes)}: give more speech"
        )
    if (count := len(set(groups.tolist()))) < FEWEST:
        raise StudyError(
            f"{label.name} is read off speech of {grouped}s that nothing was fitted to, which takes at least {FEWEST} "
            f"{grouped}s, and there are {count}"
            + (
                ': give speech of more, or keep utterances together in place of speakers (by="utterance", on the '
                "command line --by utterance)"
                if grouped == "speaker"
                else ": give more"
            )
        )
