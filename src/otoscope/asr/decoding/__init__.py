"""From a recogniser's output to text: greedy, beam search, n-gram language models."""

from otoscope.asr.decoding.arpa import read_arpa, write_arpa
from otoscope.asr.decoding.attention import AttentionSearch
from otoscope.asr.decoding.base import Decoder, Hypothesis
from otoscope.asr.decoding.beam import BeamSearch
from otoscope.asr.decoding.greedy import Greedy, greedy
from otoscope.asr.decoding.kneser_ney import kneser_ney
from otoscope.asr.decoding.ngram import NgramModel
from otoscope.asr.decoding.tuning import Trial, Tuning, tune

__all__ = [
    "AttentionSearch",
    "BeamSearch",
    "Decoder",
    "Greedy",
    "Hypothesis",
    "NgramModel",
    "Trial",
    "Tuning",
    "greedy",
    "kneser_ney",
    "read_arpa",
    "tune",
    "write_arpa",
]
