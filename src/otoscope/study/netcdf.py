"""A study's dataset to and from netCDF-4: whole files only, and foreign ones refused by name."""

from __future__ import annotations

from pathlib import Path

import xarray as xr

from otoscope.errors import StudyError
from otoscope.files import written_whole
from otoscope.study.rows import SCHEMA_VERSION, VARIABLES

__all__ = ["read_dataset", "write_dataset"]


def write_dataset(dataset: xr.Dataset, path: Path | str) -> Path:
    """Write a dataset; a reader sees either the old file or the whole new one."""
    target = Path(path)
    # Fixed-length characters: variable-length strings stay uncompressed, at ten times the size.
    encoding: dict[str, dict[str, object]] = {
        str(name): {"zlib": True, "complevel": 4, **({"dtype": "S1"} if v.dtype.kind in "UO" else {})}
        for name, v in dataset.variables.items()
        if v.size
    }
    with written_whole(target) as temporary:
        dataset.to_netcdf(temporary, engine="h5netcdf", encoding=encoding)
    return target


def read_dataset(path: Path | str) -> xr.Dataset:
    """Read what `write_dataset` wrote; `StudyError` for a missing, foreign or cut-off file, or another schema."""
    target = Path(path)
    if not target.is_file():
        raise StudyError(f"{target}: there is no such results file. Run `otoscope study` to make one.")
    try:
        dataset = xr.load_dataset(target, engine="h5netcdf")
    except (OSError, ValueError, KeyError) as error:
        raise StudyError(
            f"{target} is not a readable netCDF-4 file ({error}). If it was cut off, run `otoscope study` "
            "on its folder again."
        ) from error
    version = dataset.attrs.get("schema_version")
    if version is None or (int(version) == SCHEMA_VERSION and not set(dataset.variables) >= VARIABLES):
        missing = ", ".join(sorted(VARIABLES - {str(name) for name in dataset.variables})[:5])
        raise StudyError(
            f"{target} is netCDF but not a study's results (missing: {missing or 'schema_version'}). "
            "Name the results.nc in a study's folder."
        )
    if int(version) != SCHEMA_VERSION:
        raise StudyError(
            f"{target} has results schema {version}; this Otoscope reads schema {SCHEMA_VERSION}. "
            "Run `otoscope study` on the folder again, or use the version that wrote it."
        )
    return dataset
