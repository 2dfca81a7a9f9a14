"""Rows of content as variables of a study's results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from otoscope.study.content.rows import ContentRow

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["content_of", "with_content"]

PREFIX = "content_"
DTYPES: dict[str, type] = {"str": str, "int": np.int64, "float": np.float64}
TYPES = {field.name: DTYPES[str(field.type)] for field in fields(ContentRow)}


def with_content(dataset: xr.Dataset, rows: Sequence[ContentRow]) -> xr.Dataset:
    """A study's dataset with the rows on the dimension `content`, a variable `content_<field>` for each field."""
    if not rows:
        return dataset
    columns: dict[str, np.ndarray[Any, Any]] = {
        name: np.array([getattr(row, name) for row in rows], dtype=dtype) for name, dtype in TYPES.items()
    }
    return dataset.assign({PREFIX + name: ("content", column) for name, column in columns.items()})


def content_of(dataset: xr.Dataset) -> pd.DataFrame:
    """The rows as a table with a column for each field of `ContentRow`; empty where there are none."""
    import pandas as pd

    return pd.DataFrame(
        {
            name: dataset[PREFIX + name].values if PREFIX + name in dataset else np.array([], dtype=dtype)
            for name, dtype in TYPES.items()
        }
    )
