"""`manifest.json`: what ran, where, with which versions, on which speech, for how long."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
import time
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from otoscope.asr import ReferenceRecogniser
from otoscope.asr.models import sizes
from otoscope.errors import StudyError
from otoscope.study.config import StudyConfig
from otoscope.study.folder import StudyFolder, read_json, write_json
from otoscope.study.preparation import Speech

__all__ = ["Manifest", "host", "versions", "without_transcripts"]

SCHEMA_VERSION = 1
PACKAGES = ("otoscope", "torch", "numpy", "xarray", "kaldi-native-fbank", "soundfile", "soxr", "jiwer", "safetensors")


def versions() -> dict[str, str]:
    """The versions of Python and of every package that can change a number."""
    return {"python": platform.python_version(), **{p: importlib.metadata.version(p) for p in PACKAGES}}


def host() -> dict[str, Any]:
    """The machine: processor, cores, system. No host name: a manifest is for publishing."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        model = lines[0].partition(":")[2].strip() if lines else model
    return {"machine": f"{model}, {os.cpu_count()} cores", "system": platform.platform(terse=True)}


def _git() -> str | None:
    """The commit of the source this runs from, None for an installed package."""
    try:
        where = Path(__file__).resolve().parent
        command = ["git", "-C", str(where), "rev-parse", "HEAD"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


@dataclass
class Manifest:
    """The manifest of a study in its folder, written anew whenever something is added.

    Nothing is written before the speech is `accepted`: a study that is refused leaves the manifest that was there.
    """

    place: StudyFolder
    content: dict[str, Any]
    accepted: bool = False

    @classmethod
    def open(cls, place: StudyFolder, config: StudyConfig, command: Sequence[str]) -> Manifest:
        """The manifest in the folder, or a new one. Times of an earlier, killed run are kept and added to."""
        before = read_json(place.manifest) or {}
        content = {
            **before,
            "schema_version": SCHEMA_VERSION,
            "title": config.title,
            "command": list(command),
            "versions": versions(),
            "host": host(),
            "git": _git(),
            "started": before.get("started") or time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            "seeds": list(config.seeds),
            "measures": list(config.measures),
            "corpus": before.get("corpus"),
            "stages": before.get("stages", {}),
        }
        return cls(place, content)

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Adds the wall seconds of a stage, also where it ends in an error."""
        started = time.monotonic()
        try:
            yield
        finally:
            stages = self.content["stages"]
            stages[stage] = round(stages.get(stage, 0.0) + time.monotonic() - started, 2)
            self._write()

    def speech(self, speech: Speech) -> None:
        """Records the corpus. Raises StudyError where the folder's study was begun on other speech."""
        corpus = speech.corpus
        before = self.content["corpus"]
        if before is not None and before["hash"] != speech.hash:
            raise StudyError(
                f"the corpus is not what this study began with (hash {speech.hash[:12]}, was {before['hash'][:12]}): "
                f"utterances, texts or audio have changed. Choose another folder with --out, or delete "
                f"{self.place.path}"
            )
        self.accepted = True
        splits = {}
        for name in corpus.splits:
            split = corpus.split(name)
            speakers = len({u.speaker for u in split})
            splits[name] = {"utterances": len(split), "hours": round(split.duration / 3600, 4), "speakers": speakers}
        self.content["corpus"] = {
            "name": corpus.name,
            "utterances": len(corpus),
            "hours": round(corpus.duration / 3600, 4),
            "splits": splits,
            "hash": speech.hash,
            "alphabet": speech.alphabet,
            "probe": {"utterances": len(speech.probe), "ids": list(speech.probe)},
            "problems": {
                "counts": dict(Counter(f"{p.kind}, {p.action}" for p in corpus.problems)),
                "list": [asdict(p) for p in corpus.problems],
            },
        }
        self._write()

    def recognisers(self, config: StudyConfig, place: StudyFolder, failed: Collection[str] = ()) -> None:
        """Records the recognisers that are trained and scored: sizes, training, scores; not the runs that `failed`."""
        rows = []
        for name, recogniser in config.recognisers.items():
            for seed in config.seeds:
                run = f"{name}/seed{seed}"
                folder = place.run(run)
                test = read_json(folder / "test.json")
                if test is None or run in failed:
                    continue  # not asked for yet
                final = ReferenceRecogniser.load(folder / "checkpoints" / test["checkpoint"])
                rows.append(
                    {
                        "name": name,
                        "seed": seed,
                        "architecture": recogniser.architecture,
                        "parameters": final.parameters,
                        "model": asdict(recogniser.model()),
                        "decoder": final.decoder and {"kind": recogniser.decoder, **sizes(final.decoder)},
                        "tokens": len(final.tokens),
                        "training": asdict(recogniser.train()),
                        "test_wer": test["test_wer"],
                        "test_cer": test["test_cer"],
                        **{how: without_transcripts(test[how]) for how in ("ngram", "attention") if how in test},
                    }
                )
        self.content["recognisers"] = rows
        self._write()

    def finish(self) -> None:
        """Records the end and the whole duration in seconds."""
        self.content["finished"] = time.strftime("%Y-%m-%dT%H:%M:%S%z")
        self.content["duration"] = round(sum(self.content["stages"].values()), 2)
        self._write()

    def _write(self) -> None:
        if self.accepted:
            write_json(self.place.manifest, self.content)


def without_transcripts(decoded: dict[str, Any]) -> dict[str, Any]:
    """What another way of decoding gave, without the transcripts."""
    return {name: value for name, value in decoded.items() if name != "transcripts"}
