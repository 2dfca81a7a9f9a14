"""Looking at every utterance before a study relies on it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import pairwise

from otoscope.corpora.audio import SAMPLE_RATE_HZ, TOLERANCE, AudioFaultError, Recording, Seconds, decode
from otoscope.corpora.manifest import Corpus, Problem, Utterance
from otoscope.corpora.text import ENGLISH, normalise, outside
from otoscope.errors import CorpusError

__all__ = ["KINDS", "check", "ctc_frames", "summarise"]

KINDS: dict[str, str] = {
    "missing": "no file where the corpus says",
    "empty": "a file without samples",
    "not audio": "a file in no known audio format",
    "truncated": "audio that breaks off",
    "silent": "every sample zero",
    "too short": "fewer frames than its transcript needs under CTC, or below the least duration",
    "too long": "above the greatest duration asked for",
    "characters": "a transcript with characters outside the alphabet",
    "no transcript": "no words in the transcript",
    "duplicate": "an utterance id that came before",
    "unreadable": "an entry that cannot be turned into an utterance, or audio whose length is left open",
    "sample rate": "not 16 kHz: resampled",
    "channels": "more than one channel: averaged",
    "longer": "longer than the corpus says: the whole file is used",
}
"""Every kind of problem and what it means."""


def ctc_frames(text: str) -> int:
    """The least number of frames CTC needs for a text: one a character, and a blank between equal neighbours.

    Example:
        >>> ctc_frames("HELLO")
        6
    """
    return len(text) + sum(a == b for a, b in pairwise(text))


def check(
    corpus: Corpus,
    *,
    alphabet: str | None = ENGLISH,
    stride: Seconds = 0.04,
    min_duration: Seconds = 0.1,
    max_duration: Seconds | None = None,
    max_skipped: float = 0.5,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Corpus:
    """Decode every file, normalise every transcript, and keep what a recogniser can be trained or tested on.

    Use it once after `load`, before anything long. It reads all audio, on every core.

    Args:
        corpus: utterances as an importer gave them.
        alphabet: the characters a recogniser can write; None takes transcripts in any script.
        stride: seconds between the recogniser's output frames; CTC needs at least as many frames as `ctc_frames`.
        min_duration: shorter utterances are skipped (seconds).
        max_duration: longer utterances are skipped (seconds); None: no limit.
        max_skipped: above this share of skipped utterances the corpus as a whole is refused: the cause is then
            most likely one thing, such as a wrong folder or alphabet.
        workers: threads that decode; None: one a core, at most 8.
        progress: called with (utterances looked at, all of them).

    Returns:
        The usable utterances in their order, transcripts normalised and durations measured; `problems` names each
        utterance that was skipped or mended, and why. `summarise` puts that in a few lines.

    Raises:
        CorpusError: nothing is left, a split has lost all its utterances, or more than `max_skipped` was skipped.

    Example:
        >>> import pathlib, tempfile, numpy, soundfile
        >>> folder = tempfile.TemporaryDirectory()
        >>> path = pathlib.Path(folder.name) / "a.wav"
        >>> soundfile.write(path, numpy.random.default_rng(0).normal(size=16000) / 9, 16000)
        >>> good = Utterance("a", "ann", path, 1.0, "Yes, sir.", "train")
        >>> checked = check(Corpus("demo", (good, replace(good, id="b", text="Room 7"))))
        >>> checked.utterances[0].text
        'YES SIR'
        >>> print(summarise(checked.problems))
        1 skipped, characters: b (the transcript has '7', which is outside the alphabet)
        >>> folder.cleanup()
    """
    rules = _Rules(alphabet, stride, min_duration, max_duration)
    usable: list[Utterance] = []
    problems: list[Problem] = []
    seen: set[str] = set()
    firsts: list[Utterance] = []
    for u in corpus:
        if u.id in seen:
            what = f"the id {u.id!r} came before; the first utterance with it is used"
            problems.append(Problem(u.id, "duplicate", what, "skipped"))
        else:
            seen.add(u.id)
            firsts.append(u)
    # libsndfile decodes outside the interpreter lock, so threads are enough
    with ThreadPoolExecutor(workers or min(8, os.cpu_count() or 1)) as pool:
        for done, (kept, found) in enumerate(pool.map(rules.look, firsts), start=1):
            usable += [kept] if kept else []
            problems += found
            if progress:
                progress(done, len(firsts))
    checked = corpus.keep(usable, problems)
    _refuse_if_useless(corpus, checked, max_skipped)
    return checked


@dataclass(frozen=True)
class _Rules:
    alphabet: str | None
    stride: Seconds
    min_duration: Seconds
    max_duration: Seconds | None

    def look(self, u: Utterance) -> tuple[Utterance | None, list[Problem]]:
        """The utterance as it can be used, or None; and what was found."""
        text = normalise(u.text, alphabet=self.alphabet)
        try:
            recording = decode(u.audio, start=u.start, duration=u.duration)
            fault = self._text_fault(text) or self._audio_fault(u, text, recording)
        except AudioFaultError as error:
            fault = error.kind, f"{u.audio}: {error.what}"
        if fault:
            return None, [Problem(u.id, *fault, "skipped")]
        mended = [Problem(u.id, *m, "mended") for m in _mended(u, recording)]
        return replace(u, text=text, duration=recording.duration), mended

    def _text_fault(self, text: str) -> tuple[str, str] | None:
        if not text:
            return "no transcript", "the transcript has no words"
        if self.alphabet is not None and (strange := outside(text, self.alphabet)):
            named = ", ".join(repr(c) for c in strange)
            return "characters", f"the transcript has {named}, which is outside the alphabet"
        return None

    def _audio_fault(self, u: Utterance, text: str, recording: Recording) -> tuple[str, str] | None:
        duration = recording.duration
        if u.start is None and duration < u.duration - TOLERANCE:
            return "truncated", f"{u.audio}: {duration:.2f} s, where the corpus says {u.duration:.2f} s"
        if not recording.samples.any():
            return "silent", f"{u.audio}: every sample is zero"
        if duration < self.min_duration:
            return "too short", f"{duration:.2f} s, below the least duration of {self.min_duration:g} s"
        if self.max_duration is not None and duration > self.max_duration:
            return "too long", f"{duration:.2f} s, above the greatest duration of {self.max_duration:g} s"
        frames, needed = int(duration / self.stride + 1e-6), ctc_frames(text)
        if frames < needed:
            at = f"{frames} frames in {duration:.2f} s at {self.stride:g} s each"
            return "too short", f"{at}; CTC needs {needed} for its {len(text)} characters"
        return None


def _mended(u: Utterance, recording: Recording) -> list[tuple[str, str]]:
    found = []
    if recording.rate_hz != SAMPLE_RATE_HZ:
        found.append(("sample rate", f"{recording.rate_hz} Hz, resampled to {SAMPLE_RATE_HZ} Hz"))
    if recording.channels > 1:
        found.append(("channels", f"{recording.channels} channels, averaged"))
    if u.start is None and 0 < u.duration < recording.duration - TOLERANCE:
        lengths = f"{recording.duration:.2f} s, where the corpus says {u.duration:.2f} s"
        found.append(("longer", f"{lengths}; the whole file is used"))
    return found


def _refuse_if_useless(before: Corpus, after: Corpus, max_skipped: float) -> None:
    skipped = [p for p in after.problems if p.action == "skipped"]
    total = len(after) + len(skipped)
    lost = [name for name in before.splits if name not in after.splits]
    if not total:
        raise CorpusError(f"The corpus {before.name!r} holds no utterances; expected audio with transcripts.")
    if not len(after):
        what = "none is usable"
    elif lost:
        what = f"the split {lost[0]!r} has none left"
    elif len(skipped) > max_skipped * total:
        what = f"{len(skipped)} cannot be used, more than the share max_skipped={max_skipped:g}"
    else:
        return
    raise CorpusError(
        f"Of the {total} utterances of {before.name!r}, {what}.\n{summarise(skipped)}\n"
        "Mend or remove these files, or check that the folder, its format and the alphabet are the ones you mean."
    )


def summarise(problems: Sequence[Problem], *, names: int = 3) -> str:
    """Problems counted by kind, the commonest first, each with its first few utterances.

    Args:
        problems: as in `Corpus.problems`.
        names: how many utterances to name for each kind.

    Returns:
        One line a kind; the empty text where there are no problems.

    Example:
        >>> found = [Problem(f"u{k}", "silent", "every sample is zero", "skipped") for k in range(5)]
        >>> print(summarise(found, names=2))
        5 skipped, silent: u0 (every sample is zero), u1 (every sample is zero), and 3 more
    """
    lines = []
    for (action, kind), count in Counter((p.action, p.kind) for p in problems).most_common():
        named = [f"{p.utterance} ({p.what})" for p in problems if (p.action, p.kind) == (action, kind)][:names]
        more = [f"and {count - names} more"] if count > names else []
        lines.append(f"{count} {action}, {kind}: {', '.join(named + more)}")
    return "\n".join(lines)
