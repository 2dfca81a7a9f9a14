"""Options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

__all__ = [
    "Alignments",
    "Architecture",
    "AtLeastOne",
    "Decoder",
    "Intervals",
    "Json",
    "Language",
    "Layers",
    "Many",
    "Measures",
    "Model",
    "RemoteCode",
    "Revision",
    "Samples",
    "Size",
    "Utterances",
    "Watch",
]

Json = Annotated[bool, Parameter(name="--json", negative=(), show_default=False, help="Print the result as JSON.")]
Many = Parameter(consume_multiple=True, negative=())
AtLeastOne = Parameter(validator=Number(gte=1))
Watch = Annotated[
    bool, Parameter(negative=(), show_default=False, help="Compare layers at each checkpoint while it trains, too.")
]
Model = Annotated[
    str,
    Parameter(
        help="A checkpoint or graph (.safetensors, .onnx, .ort), a model's folder, organisation/model on the hub, or "
        "file.py:function."
    ),
]
Revision = Annotated[str | None, Parameter(help="A branch, tag or commit of a model on the hub [main].")]
Language = Annotated[str, Parameter(help="The language code in the prompt of a multilingual model.")]
Measures = Annotated[tuple[str, ...], Many, Parameter(help="Similarity measures.")]
Layers = Annotated[tuple[str, ...] | None, Many, Parameter(help="Layer names or globs [one a block].")]
Decoder = Annotated[
    bool, Parameter(negative=(), show_default=False, help="Compare blocks of the decoder, token by token.")
]
Samples = Annotated[
    int, AtLeastOne, Parameter(help="Frames to keep, of whole utterances, for measures that need frames.")
]
Intervals = Annotated[
    bool, Parameter(negative=(), show_default=False, help="Add 95 % intervals, by leaving out blocks of speakers.")
]
Alignments = Annotated[
    Path | None, Parameter(help="A folder of TextGrids, <utterance>.TextGrid, with words and phones.")
]
Utterances = Annotated[int, AtLeastOne, Parameter(help="At most this many, spread over the split.")]
RemoteCode = Annotated[
    bool, Parameter(negative=(), show_default=False, help="Run code that a model on the hub brings. Read it first.")
]
Architecture = Literal["cnn", "lstm", "transformer", "conformer"]
Size = Literal["small", "base"]
