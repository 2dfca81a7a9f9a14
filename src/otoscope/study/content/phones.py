"""The phone that is spoken at the centre of each frame."""

from __future__ import annotations

import re

from otoscope.study.content.label import Label, Spoken, interval_at, said

__all__ = ["PHONES", "phone"]


def phone(label: str) -> str:
    """A phone without its stress, "" for silence and noise. Case tells phones apart in X-SAMPA, and is kept.

    >>> [phone(label) for label in ("AH0", "ER1", "t͡ʃ", "sil", "+NSN+")]
    ['AH', 'ER', 't͡ʃ', '', '']
    """
    name = label.strip()
    stressed = re.fullmatch(r"([A-Z]{2})[012]", name)  # ARPABET, as the Montreal Forced Aligner writes it
    return "" if not said(name) else stressed[1] if stressed else name


def _of(spoken: Spoken) -> list[str]:
    phones = spoken.utterance.phones
    return [phone(phones[i].label) if i >= 0 else "" for i in interval_at(spoken.times, phones).tolist()]


PHONES = Label("phones", "the phone at a frame's centre", "classes", "frame", _of, aligned="phones", least=20)
