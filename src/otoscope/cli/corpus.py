"""`otoscope corpus`: list, look at and fetch corpora."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from otoscope.cli.options import Json
from otoscope.cli.progress import showing_progress
from otoscope.corpora import IMPORTERS, SOURCES, cache_dir, check, fetch, load, summarise

__all__ = ["app"]

app = App(name="corpus", help="List, check and fetch corpora of speech.")


@app.command(name="list")
def list_(*, json_: Json = False) -> None:
    """The corpora that can be fetched, and the layouts that can be read."""
    about = {"fetch": sorted(SOURCES), "formats": sorted(IMPORTERS), "embedded": ["default"]}
    print(json.dumps(about, indent=1) if json_ else "\n".join(f"{k:9} {', '.join(v)}" for k, v in about.items()))


@app.command(name="fetch")
def fetch_(
    name: str,
    *,
    to: Annotated[Path | None, Parameter(help="Where to put it [the cache folder].")] = None,
    json_: Json = False,
) -> None:
    """Download a corpus from its publisher, with checksum and resume. Prints its folder."""
    with showing_progress() as progress:
        folder = fetch(name, to or cache_dir() / "corpora", progress=progress)
    print(json.dumps({"folder": str(folder)}) if json_ else folder)


@app.command(name="check")
def check_(
    path: str = "default",
    *,
    format: Annotated[str | None, Parameter(help="The layout, where it is not to be guessed.")] = None,
    json_: Json = False,
) -> None:
    """Look at every utterance of a corpus: what is there, what would be skipped and why."""
    with showing_progress() as progress:
        speech = check(load(path, format=format), progress=lambda done, total: progress("checking audio", done, total))
    splits: dict[str, Any] = {}
    for name in speech.splits:
        part = speech.split(name)
        words = Counter(word for u in part for word in u.text.split())
        splits[name] = {
            "utterances": len(part),
            "hours": round(part.duration / 3600, 4),
            "speakers": len({u.speaker for u in part}),
            "words": words.total(),
            "word_types": len(words),
        }
    if json_:
        problems = [asdict(p) for p in speech.problems]
        about = {"name": speech.name, "hash": speech.hash(), "splits": splits, "problems": problems}
        print(json.dumps(about, indent=1))
        return
    print(f"{speech.name}, hash {speech.hash()[:12]}")
    for name, row in splits.items():
        print(f"{name:8} " + ", ".join(f"{value} {key.replace('_', ' ')}" for key, value in row.items()))
    print(summarise(speech.problems) or "no problems")
