"""N-gram models as ARPA files, the format that KenLM, SRILM and most decoders read."""

from __future__ import annotations

import gzip
import math
from collections import Counter
from pathlib import Path

from otoscope.asr.decoding.ngram import UNKNOWN, Ngram, NgramModel
from otoscope.errors import TrainingError
from otoscope.files import write_text

__all__ = ["read_arpa", "write_arpa"]

LOG10 = math.log(10)
ZERO = -99.0
"""What ARPA files say for the logarithm of 0."""


def write_arpa(model: NgramModel, path: Path) -> None:
    r"""Writes a model as an ARPA file (base-10 logarithms), whole or not at all.

    The same model gives the same bytes. Nine digits are kept: probabilities come back to 1e-7.

    >>> import tempfile
    >>> from otoscope.asr.decoding import kneser_ney
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "words.arpa"
    ...     write_arpa(kneser_ney([["GO", "HOME"]], order=2), path)
    ...     path.read_text(encoding="utf-8").splitlines()[:3]
    ['\\data\\', 'ngram 1=5', 'ngram 2=3']
    """
    by_order: list[list[Ngram]] = [[] for _ in range(model.order)]
    for ngram in model.log_probs:
        by_order[len(ngram) - 1].append(ngram)
    lines = ["\\data\\", *(f"ngram {n}={len(ngrams)}" for n, ngrams in enumerate(by_order, 1)), ""]
    for n, ngrams in enumerate(by_order, 1):
        lines.append(f"\\{n}-grams:")
        # <unk> first, as KenLM's own files have it; the rest in order.
        for ngram in sorted(ngrams, key=lambda g: (g != (UNKNOWN,), g)):
            line = f"{_to_log10(model.log_probs[ngram])}\t{' '.join(ngram)}"
            lines.append(line if n == model.order else f"{line}\t{_to_log10(model.backoffs.get(ngram, 0.0))}")
        lines.append("")
    write_text(path, "\n".join([*lines, "\\end\\", ""]))


def read_arpa(path: Path) -> NgramModel:
    """Reads an ARPA file, plain or `.gz`. Raises TrainingError where it is not one, naming the line."""
    log_probs: dict[Ngram, float] = {}
    backoffs: dict[Ngram, float] = {}
    announced: dict[int, int] = {}
    order, ended, number = 0, False, 0
    try:
        with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, 1):  # noqa: B007 (the error names it)
                text = line.strip()
                if text == "\\end\\":
                    ended = True
                    break
                if text.startswith("ngram ") and order == 0:
                    n, _, count = text.removeprefix("ngram ").partition("=")
                    announced[int(n)] = int(count)
                elif text.startswith("\\") and text.endswith("-grams:"):
                    order = int(text[1 : -len("-grams:")])
                elif text and order:
                    fields = text.split()
                    if not order + 1 <= len(fields) <= order + 2:
                        raise ValueError(f"{len(fields)} fields for a {order}-gram")
                    ngram = tuple(fields[1 : order + 1])
                    log_probs[ngram] = _from_log10(fields[0])
                    if len(fields) == order + 2:
                        backoffs[ngram] = _from_log10(fields[-1])
        if not ended:
            raise ValueError("no \\end\\")
        if announced != (listed := dict(Counter(map(len, log_probs)))):
            raise ValueError(f"n-grams of each order: {announced} announced, {listed} listed")
    except (OSError, EOFError, ValueError) as error:
        raise TrainingError(f"{path} cannot be read as an ARPA language model: line {number}: {error}") from error
    return NgramModel(log_probs, backoffs)


def _to_log10(log_prob: float) -> str:
    return f"{max(log_prob / LOG10, ZERO):.9g}"


def _from_log10(field: str) -> float:
    value = float(field)
    return value * LOG10 if value > ZERO else -math.inf
