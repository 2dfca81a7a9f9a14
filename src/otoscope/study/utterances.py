"""Word errors utterance by utterance, as variables of a study's results."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from otoscope.errors import StudyError
from otoscope.study.rows import UtteranceRow

__all__ = ["OF_RUN", "of_run", "with_utterances"]

OF_RUN = {"utterance_errors": "errors", "utterance_words": "words"}
OF_UTTERANCE = {"utterance_block": "block", "utterance_split": "split"}


def with_utterances(dataset: xr.Dataset, rows: Sequence[UtteranceRow]) -> xr.Dataset:
    """A study's dataset with the rows on dimensions run and utterance; as it was where there are none.

    `utterance_errors` and `utterance_words` are run × utterance, NaN where a run was not scored on an utterance;
    `utterance_block` and `utterance_split` are the utterances'. Raises StudyError for rows that contradict each other.
    """
    if not rows:
        return dataset
    runs, utterances = ({name: i for i, name in enumerate(dict.fromkeys(n))} for n in _names(rows))
    tables = {name: np.full((len(runs), len(utterances)), np.nan) for name in OF_RUN}
    about: dict[str, tuple[str, int]] = {}
    for row in rows:
        at = runs[row.run], utterances[row.utterance]
        if np.isfinite(tables["utterance_errors"][at]):
            raise StudyError(f"The utterance {row.utterance!r} came twice for {row.run}; give each of a run's once.")
        if about.setdefault(row.utterance, (row.split, row.block)) != (row.split, row.block):
            raise StudyError(
                f"The utterance {row.utterance!r} is in split and block {about[row.utterance]} in one row and in "
                f"{(row.split, row.block)} in another; an utterance has one of each."
            )
        for name, field in OF_RUN.items():
            tables[name][at] = getattr(row, field)
    variables: dict[str, tuple[Any, Any]] = {name: (("run", "utterance"), table) for name, table in tables.items()}
    splits, blocks = zip(*(about[u] for u in utterances), strict=True)
    variables["utterance_split"] = "utterance", np.array(splits, dtype=str)
    variables["utterance_block"] = "utterance", np.array(blocks, dtype=np.int64)
    return dataset.assign(variables).assign_coords(
        run=np.array(list(runs), dtype=str), utterance=np.array(list(utterances), dtype=str)
    )


def of_run(dataset: xr.Dataset, run: str) -> xr.Dataset:
    """`errors`, `words`, `block` and `split` of the utterances on which a run was scored, by `utterance`."""
    names = {**OF_RUN, **OF_UTTERANCE}
    if not set(names) <= set(dataset.variables) or run not in dataset["run"].values:
        raise StudyError(
            f"These results hold no errors of {run} utterance by utterance: run `otoscope study` on the folder again."
        )
    mine = dataset[list(names)].sel(run=run).drop_vars("run").rename(names)
    return mine.isel(utterance=mine["errors"].notnull().values)


def _names(rows: Sequence[UtteranceRow]) -> tuple[list[str], list[str]]:
    return [row.run for row in rows], [row.utterance for row in rows]
