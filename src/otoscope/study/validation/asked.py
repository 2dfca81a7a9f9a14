"""Whether `study.toml` and `manifest.json` are there, can be read, and speak of the same study."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from otoscope.errors import StudyError
from otoscope.study.config import StudyConfig
from otoscope.study.folder import StudyFolder, read_json
from otoscope.study.manifest import SCHEMA_VERSION
from otoscope.study.validation.fault import Fault

__all__ = ["AGAIN", "check_asked", "read_config", "read_manifest"]

AGAIN = "run `otoscope study --config` with the folder's study.toml: what is whole is kept"

KEYS = ("title", "versions", "host", "seeds", "measures", "corpus", "stages")
"""What every manifest has from its beginning."""


def read_config(place: StudyFolder) -> tuple[StudyConfig | None, list[Fault]]:
    """What was asked, None where that cannot be read."""
    try:
        return StudyConfig.read(place.config), []
    except (StudyError, UnicodeDecodeError) as error:
        mend = "put back the study.toml that the folder was made with; its copy may stand in a backup or with the paper"
        return None, [Fault("study.toml", str(error), mend)]


def read_manifest(place: StudyFolder) -> tuple[dict[str, Any] | None, list[Fault]]:
    """What ran, None where that cannot be read."""
    try:
        content = read_json(place.manifest)
    except (StudyError, OSError) as error:
        return None, [Fault("manifest.json", f"cannot be read ({error})", f"delete it, then {AGAIN}")]
    if content is None:
        return None, [Fault("manifest.json", "is missing", AGAIN)]
    version = content.get("schema_version") if isinstance(content, dict) else None
    if version != SCHEMA_VERSION:
        what = f"has schema version {version}, and this Otoscope knows {SCHEMA_VERSION}"
        return None, [Fault("manifest.json", what, "use the version of Otoscope that wrote it")]
    if lacking := [key for key in KEYS if not content.get(key) and key != "title"]:
        return None, [Fault("manifest.json", f"lacks {', '.join(lacking)}", f"delete it, then {AGAIN}")]
    return content, []


def check_asked(config: StudyConfig, manifest: dict[str, Any]) -> Iterator[Fault]:
    """Whether the study ran as it is asked for now, and to its end."""
    edited = {
        "title": (manifest.get("title"), config.title),
        "seeds": (sorted(manifest["seeds"]), sorted(config.seeds)),
        "measures": (manifest["measures"], list(config.measures)),
    }
    for name, (ran, asked) in edited.items():
        if ran != asked:
            what = f"asks for {name} {asked!r}, and what ran had {ran!r}: it was edited since"
            yield Fault("study.toml", what, f"undo the change, or {AGAIN}")
    if "finished" not in manifest:
        yield Fault("manifest.json", "the study has not come to its end", AGAIN)
