"""Whisper as CTranslate2 and faster-whisper keep it."""

from otoscope.adapters.ctranslate2.whisper import Whisper, load_ctranslate2, whisper_from_ctranslate2

__all__ = ["Whisper", "load_ctranslate2", "whisper_from_ctranslate2"]
