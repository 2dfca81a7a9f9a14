"""A study's similarities as one long table in Parquet: for pandas, Polars, DuckDB, R."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from otoscope.errors import StudyError
from otoscope.files import written_whole
from otoscope.study.results import Results

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["COLUMNS", "SCHEMA_VERSION", "about_parquet", "long_frame", "read_parquet", "write_parquet"]

SCHEMA_VERSION = 1

NAME = pa.dictionary(pa.int32(), pa.string())
SIDE = {
    "run": NAME,
    "step": pa.int64(),
    "layer": NAME,
    "depth": pa.int32(),
    "units": pa.int32(),
    "dev_wer": pa.float64(),
}
ABOUT = ("title", "corpus", "corpus_hash", "created")
VALUES = ("similarity", "null", "low", "high")

COLUMNS: dict[str, pa.DataType] = {
    "probe": NAME,
    "kind": NAME,
    "measure": NAME,
    **{f"{name}_{side}": type_ for side in "xy" for name, type_ in SIDE.items()},
    **dict.fromkeys(VALUES, pa.float64()),
}
"""The columns and their types; `docs/results-as-data.md` says what they mean."""


def long_frame(results: Results) -> pd.DataFrame:
    """One row per pair of views, measure and probe set: `COLUMNS`.

    As `Results.to_frame`, with depth (0 is nearest the input) and units of both layers, and the word error rates of
    both checkpoints on dev. `low` and `high` are NaN where the study has no intervals.
    """
    import pandas as pd  # half a second that only tables need

    data = results.dataset
    layers = {"run": "run_l", "layer": "layer_l", "depth": "index", "units": "units"}
    checkpoints = {"run": "run_c", "step": "step_c", "dev_wer": "dev_wer"}
    frame = results.to_frame()
    for side in "xy":
        for columns, key in ((layers, ("run", "layer")), (checkpoints, ("run", "step"))):
            facts = pd.DataFrame({f"{name}_{side}": data[at].values for name, at in columns.items()})
            frame = frame.merge(facts, on=[f"{name}_{side}" for name in key], how="left", validate="many_to_one")
    return frame.reindex(columns=list(COLUMNS))


def write_parquet(results: Results, path: Path | str) -> Path:
    """Writes the long table as Parquet, whole or not at all, and returns its path.

    What was not computed is null. The file's metadata say title, corpus, its hash and when the results were made.

    >>> import tempfile
    >>> from otoscope.study.results import CheckpointRow, Comparison, LayerRow
    >>> run = "cnn/seed0"
    >>> pair = Comparison("within", run, 0, "conv0", run, 0, "conv1", {"cka": 0.3})
    >>> layers = [LayerRow(run, name, units=64, stride=0.02) for name in ("conv0", "conv1")]
    >>> results = Results.from_rows([pair], [CheckpointRow(run, 0, dev_wer=1.0)], layers)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     rows = read_parquet(write_parquet(results, f"{folder}/results.parquet"))
    >>> rows[["layer_x", "depth_y", "measure", "similarity"]].values.tolist()
    [['conv0', 1, 'cka', 0.3]]
    """
    target = Path(path)
    attrs = results.dataset.attrs
    about = {"schema_version": str(SCHEMA_VERSION), **{name: str(attrs[name]) for name in ABOUT}}
    table = pa.Table.from_pandas(
        long_frame(results), schema=pa.schema(list(COLUMNS.items())), preserve_index=False, safe=True
    )
    with written_whole(target) as temporary:
        # In place of what pandas writes there: its own columns' types, which other readers have no use for.
        pq.write_table(table.replace_schema_metadata(about), temporary)
    return target


def read_parquet(path: Path | str) -> pd.DataFrame:
    """The long table as pandas has it, null as NaN. Raises StudyError for a file that is missing or no Parquet."""
    with _readable(path):
        frame: pd.DataFrame = pq.read_table(path).to_pandas()
    return frame


def about_parquet(path: Path | str) -> tuple[dict[str, str], int]:
    """The metadata of the long table and how many rows it has, from its end alone. Raises as `read_parquet`."""
    with _readable(path):
        found = pq.read_metadata(path)
    kept = {name.decode(): value.decode() for name, value in (found.metadata or {}).items()}
    return {name: value for name, value in kept.items() if name in ("schema_version", *ABOUT)}, int(found.num_rows)


@contextmanager
def _readable(path: Path | str) -> Iterator[None]:
    try:
        yield
    except (OSError, pa.ArrowException) as error:
        raise StudyError(
            f"{path} cannot be read as Parquet ({error}): `otoscope study` on the study's folder writes it anew"
        ) from error
