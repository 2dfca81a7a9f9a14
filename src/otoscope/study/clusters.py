"""What is independent of each other in a corpus, for intervals: speakers where they are known, else utterances."""

from __future__ import annotations

from collections.abc import Mapping

from otoscope.capture import Clusters
from otoscope.errors import StudyError
from otoscope.measures.inference import assign

__all__ = ["clusters_of"]

FEWEST = 3
MOST_OF_ONE = 0.5

UNKNOWN = ("", "unknown")
"""What importers write where nothing tells the speaker."""


def clusters_of(speakers: Mapping[str, str], lengths: Mapping[str, float]) -> Clusters:
    """The clusters that an interval leaves out in turn, and their blocks.

    Arguments:
        speakers: utterance → who speaks it.
        lengths: utterance → how long it is, in any unit.

    Returns:
        The speakers, an utterance whose speaker is not known standing for itself; the utterances where all speech is
        by fewer than 3 speakers, or more than half of it by one. `kind` says which.

    Raises:
        StudyError: utterances do not do either.

    >>> clusters_of({"a": "anna", "b": "bert", "c": "carl"}, {"a": 50, "b": 60, "c": 40}).kind
    'speakers'
    >>> clusters_of({"a": "anna", "b": "anna", "c": "carl"}, {"a": 50, "b": 60, "c": 40}).kind
    'utterances'
    """
    by_speaker = {u: u if s in UNKNOWN else s for u, s in speakers.items()}
    by_utterance = {u: u for u in speakers}
    for of in (by_speaker, by_utterance):
        sizes: dict[int | str, int] = dict.fromkeys(of.values(), 0)
        for utterance, cluster in of.items():
            sizes[cluster] += round(1000 * lengths[utterance])
        if len(sizes) >= FEWEST and max(sizes.values()) <= MOST_OF_ONE * sum(sizes.values()):
            kind = "utterances" if of == by_utterance else "speakers"
            return Clusters(of, assign(sizes), kind)
    raise StudyError(
        f"intervals leave out speakers or utterances in turn and take at least {FEWEST}, none with more than half of "
        f"the speech; there are {len(speakers)} utterances of {len(set(speakers.values()))} speakers. Compare on more "
        "speech, or leave intervals out"
    )
