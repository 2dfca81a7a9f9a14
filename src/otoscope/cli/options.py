"""Options that several commands have."""

from __future__ import annotations

from typing import Annotated, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

__all__ = ["Architecture", "AtLeastOne", "Json", "Language", "Many", "Model", "RemoteCode", "Revision", "Size", "Watch"]

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
RemoteCode = Annotated[
    bool, Parameter(negative=(), show_default=False, help="Run code that a model on the hub brings. Read it first.")
]
Architecture = Literal["cnn", "lstm", "transformer", "conformer"]
Size = Literal["small", "base"]
