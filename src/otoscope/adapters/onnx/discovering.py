"""What can be captured of a graph, module by module."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from otoscope.adapters.onnx.order import subgraphs
from otoscope.capture import SAMPLE_RATE_HZ, Layer, Speech
from otoscope.capture.discovery.found import Discovery
from otoscope.capture.discovery.rows import Row
from otoscope.errors import CaptureError

if TYPE_CHECKING:
    from otoscope.adapters.onnx.recogniser import OnnxRecogniser

__all__ = ["discovered"]


def discovered(recogniser: OnnxRecogniser, speech: Speech, patterns: Sequence[str] | None) -> Discovery:
    """Every module of the graph, or what some patterns match, found by running it on this utterance and on noise."""
    names, graph = recogniser.names, recogniser.graph
    asked = names.modules() if patterns is None else [b.name for p in patterns for b in names.find(p)]
    blocks = {name: names.find(name)[0] for name in dict.fromkeys(asked)}
    made = recogniser.run(speech, sorted({block.tensor for block in blocks.values()}))
    rows = []
    for name, block in blocks.items():
        layer = _layer(recogniser, name)
        rows.append(
            Row(
                name,
                block.kind,
                shapes=_shapes(made[block.tensor], layer),
                own_parameters=names.parameters(name, recurse=False),
                parameters=names.parameters(name),
                layer=layer if isinstance(layer, Layer) else None,
                problem=layer if isinstance(layer, str) else "",
            )
        )
    known = {row.name for row in rows if row.layer is not None}
    default = [block.name for block in recogniser.blocks] if any(b.name in known for b in recogniser.blocks) else []
    if recogniser.given is not None:
        default = [layer.name for layer in recogniser.layers()]
    return Discovery(
        kind="ONNX",
        parameters=graph.parameters(range(len(graph.nodes))),
        seconds=len(speech.audio) / SAMPLE_RATE_HZ,
        rows=tuple(rows),
        default=tuple(name for name in default if name in known),
        warnings=tuple(_warnings(recogniser)),
    )


def _layer(recogniser: OnnxRecogniser, name: str) -> Layer | str:
    try:
        return recogniser.steps(name)
    except CaptureError as error:  # a graph of one length: what there is can be listed all the same
        return str(error)


def _shapes(value: Any, layer: Layer | str) -> tuple[tuple[int, ...], ...]:
    """As it is handed out where it is a layer, else as the graph has it."""
    if not isinstance(value, np.ndarray):
        return ()
    return ((1, value.size // layer.units, layer.units),) if isinstance(layer, Layer) else (value.shape,)


def _warnings(recogniser: OnnxRecogniser) -> Iterator[str]:
    if "names" not in recogniser.blocks_from.split(",")[0]:
        yield f"blocks were told by {recogniser.blocks_from}: look whether they are what you call blocks"
    hidden = [node for node in recogniser.graph.nodes if subgraphs(node)]
    if hidden:
        named = ", ".join(node.name or node.op_type for node in hidden[:5])
        yield f"tensors inside of {named} cannot be reached, only what it puts out: its nodes are branches or loops"
