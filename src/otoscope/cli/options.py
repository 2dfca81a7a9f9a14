"""Options that several commands have."""

from __future__ import annotations

from typing import Annotated, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

__all__ = ["Architecture", "AtLeastOne", "Json", "Many", "Size", "Watch"]

Json = Annotated[bool, Parameter(name="--json", negative=(), show_default=False, help="Print the result as JSON.")]
Many = Parameter(consume_multiple=True, negative=())
AtLeastOne = Parameter(validator=Number(gte=1))
Watch = Annotated[
    bool, Parameter(negative=(), show_default=False, help="Compare layers at each checkpoint while it trains, too.")
]
Architecture = Literal["cnn", "lstm", "transformer", "conformer"]
Size = Literal["small", "base"]
