"""Reading speech: any format that libsndfile knows, headerless AN4 files, one channel, 16 kHz."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from otoscope.capture import SAMPLE_RATE_HZ, Seconds
from otoscope.corpora.containers import ogg_is_complete, promised_frames
from otoscope.corpora.manifest import Utterance
from otoscope.errors import CorpusError

__all__ = [
    "AUDIO_SUFFIXES",
    "SAMPLE_RATE_HZ",
    "AudioFaultError",
    "Recording",
    "Seconds",
    "decode",
    "header_duration",
    "read_audio",
]

AUDIO_SUFFIXES = frozenset({".flac", ".wav", ".ogg", ".opus", ".mp3", ".sph", ".aiff", ".aif", ".au", ".raw"})
TOLERANCE: Seconds = 0.1
"""How much shorter than announced a recording may be before it counts as cut short."""
_UNKNOWN_FRAMES = 1 << 60  # libsndfile gives the largest integer where a header leaves the length open


class AudioFaultError(CorpusError):
    """A file that cannot be used as audio; `kind` names the fault as in `Problem`."""

    def __init__(self, kind: str, path: Path, what: str) -> None:
        self.kind = kind
        self.what = what
        super().__init__(f"{path}: {what}. Replace the file, or leave its utterance out (`check` does so).")


@dataclass(frozen=True, slots=True)
class Recording:
    """Decoded audio before any change: frames × channels, float32 in −1…1, at the file's own rate."""

    samples: NDArray[np.float32]
    rate_hz: int

    @property
    def duration(self) -> Seconds:
        """Seconds decoded."""
        return len(self.samples) / self.rate_hz

    @property
    def channels(self) -> int:
        """Number of channels in the file."""
        return int(self.samples.shape[1])


def read_audio(utterance: Utterance) -> NDArray[np.float32]:
    """Read one utterance as mono speech at 16 kHz.

    Channels are averaged; other sample rates are resampled by soxr at its highest quality. Use it wherever samples
    are needed; to find unusable files before a long run, use `check`.

    Args:
        utterance: what to read: the whole of `utterance.audio`, or the stretch of `utterance.duration` seconds
            from `utterance.start`, where that is given.

    Returns:
        Samples, float32 of shape (samples,), in −1…1, `SAMPLE_RATE_HZ` a second.

    Raises:
        CorpusError: the file is missing, empty, not audio, or breaks off; the message names file and fault.

    Example:
        >>> import tempfile, soundfile
        >>> folder = tempfile.TemporaryDirectory()
        >>> path = Path(folder.name) / "tone.wav"
        >>> soundfile.write(path, np.sin(np.arange(8000)), 8000)
        >>> read_audio(Utterance("tone", "nobody", path, 1.0, "AH", "train")).shape
        (16000,)
        >>> folder.cleanup()
    """
    recording = decode(utterance.audio, start=utterance.start, duration=utterance.duration)
    mono = recording.samples.mean(axis=1, dtype=np.float32)
    if recording.rate_hz != SAMPLE_RATE_HZ:
        mono = soxr.resample(mono, recording.rate_hz, SAMPLE_RATE_HZ, quality="VHQ").astype(np.float32, copy=False)
    return np.ascontiguousarray(mono)


def decode(path: Path, *, start: Seconds | None = None, duration: Seconds = 0.0) -> Recording:
    """Decode a file, or `duration` seconds of it from `start`, and notice if it is cut short.

    Raises:
        AudioFaultError: of kind `missing`, `empty`, `not audio`, `truncated` or `unreadable`.
    """
    if not path.is_file():
        raise AudioFaultError("missing", path, "there is no such file")
    if path.stat().st_size == 0:
        raise AudioFaultError("empty", path, "the file holds no bytes")
    recording = _decode_raw(path, start, duration) if path.suffix == ".raw" else _decode(path, start, duration)
    if start is not None and recording.duration < duration - TOLERANCE:
        there = f"{recording.duration:.2f} s from {start:.2f} s on"
        raise AudioFaultError("truncated", path, f"{there}, where {duration:.2f} s were expected")
    if not len(recording.samples):
        raise AudioFaultError("empty", path, "the file holds no samples")
    return recording


def _decode(path: Path, start: Seconds | None, duration: Seconds) -> Recording:
    try:
        file = soundfile.SoundFile(path)
    except soundfile.LibsndfileError as error:
        fault = "truncated" if "malformed" in str(error) else "not audio"
        raise AudioFaultError(fault, path, f"cannot be opened as audio ({error.error_string})") from error
    with file:
        rate = int(file.samplerate)
        if file.frames >= _UNKNOWN_FRAMES:  # libsndfile cannot read these to their end
            what = "its header leaves the length open, as a program that writes into a pipe does; rewrite it with"
            raise AudioFaultError("unreadable", path, f"{what} `ffmpeg -i {path.name} new{path.suffix}`")
        try:
            if start is None:
                samples = file.read(dtype="float32", always_2d=True)
            else:
                file.seek(min(round(start * rate), file.frames))
                samples = file.read(round(duration * rate), dtype="float32", always_2d=True)
        except soundfile.LibsndfileError as error:
            raise AudioFaultError("truncated", path, f"decoding broke off ({error.error_string})") from error
    promised = promised_frames(path) if start is None else None
    if promised is not None and len(samples) < promised - TOLERANCE * rate:
        lengths = f"{len(samples) / rate:.2f} s, where its header announces {promised / rate:.2f} s"
        raise AudioFaultError("truncated", path, f"cut short: {lengths}")
    if start is None and not ogg_is_complete(path):
        raise AudioFaultError("truncated", path, "cut short: the Ogg stream has no last page")
    return Recording(samples, rate)


def _decode_raw(path: Path, start: Seconds | None, duration: Seconds) -> Recording:
    """Headerless 16-bit PCM at 16 kHz, as AN4 was released, in either byte order.

    Speech changes little from one sample to the next; read in the wrong byte order it is close to white noise. The
    order with the smaller steps is the right one.
    """
    data = path.read_bytes()
    data = data[: len(data) // 2 * 2]
    orders = [np.frombuffer(data, dtype).astype(np.float32) for dtype in ("<i2", ">i2")]
    samples = min(orders, key=lambda x: float(np.abs(np.diff(x)).mean()) if len(x) > 1 else 0.0)
    first = round((start or 0.0) * SAMPLE_RATE_HZ)
    last = None if start is None else first + round(duration * SAMPLE_RATE_HZ)
    return Recording((samples[first:last] / 32768).astype(np.float32)[:, None], SAMPLE_RATE_HZ)


def header_duration(path: Path) -> Seconds:
    """Seconds of audio by the file's header, without decoding; 0 where it cannot be told (`check` will say why)."""
    try:
        if path.suffix == ".raw":
            return path.stat().st_size / 2 / SAMPLE_RATE_HZ
        info = soundfile.info(path)
        frames = max(info.frames, promised_frames(path) or 0)
    except (OSError, soundfile.LibsndfileError):
        return 0.0
    return float(frames / info.samplerate) if frames < _UNKNOWN_FRAMES else 0.0
