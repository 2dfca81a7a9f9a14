"""onnxruntime's own format, `.ort`, read into an ONNX model: a flatbuffer of the graph as onnxruntime optimised it."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from otoscope.adapters.onnx.extra import flatbuffer_classes, needed
from otoscope.adapters.onnx.order import in_order, subgraphs
from otoscope.errors import CaptureError

if TYPE_CHECKING:
    from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, TypeProto

__all__ = ["every_node", "initialisers", "read_ort"]

BROKEN = (struct.error, IndexError, ValueError, TypeError, AttributeError, OverflowError, MemoryError, RecursionError)
"""What reading a damaged flatbuffer raises: offsets that lead nowhere or into something else."""

STRING = 8
"""ONNX's number of the element type string, whose values stand apart from the raw data."""


def read_ort(path: str | Path) -> ModelProto:
    """An `.ort` file as an ONNX model that says and computes the same: initialisers, nodes, subgraphs, operator sets.

    Names are those of the file, onnxruntime's fused operators (domain com.microsoft) stay as they are, and nodes come
    in an order in which each stands behind those it needs.

    Arguments:
        path: the file.

    Returns:
        The model; see `initialisers` and `every_node` for what is in it.

    Raises:
        CaptureError: onnx or onnxruntime is not installed; no such file; not an .ort file, or a damaged one; weights
            that lie in another file.
    """
    fbs, path = flatbuffer_classes(), Path(path)
    needed("onnx")
    try:
        content = bytearray(path.read_bytes())
    except OSError as error:
        raise CaptureError(f"{path} cannot be read ({error.strerror})") from error
    if len(content) < 8 or content[4:8] != b"ORTM":
        raise CaptureError(f"{path} is no .ort file: it does not begin as onnxruntime's format does")
    try:
        return _model(fbs.InferenceSession.InferenceSession.GetRootAs(content, 0).Model())
    except BROKEN as error:
        raise CaptureError(
            f"{path} is damaged: its graph cannot be read ({type(error).__name__}: {error}). Fetch or convert it again"
        ) from error


def initialisers(graph: GraphProto) -> dict[str, npt.NDArray[Any]]:
    """The constants of a graph by name, in its subgraphs too: weights, mostly."""
    to_array = needed("onnx.numpy_helper").to_array
    found = {tensor.name: to_array(tensor) for tensor in graph.initializer}
    for node in graph.node:
        for subgraph in subgraphs(node):
            found.update(initialisers(subgraph))
    return found


def every_node(graph: GraphProto) -> Iterator[NodeProto]:
    """The nodes of a graph, each followed by those of its subgraphs, such as the branches of If."""
    for node in graph.node:
        yield node
        for subgraph in subgraphs(node):
            yield from every_node(subgraph)


def _model(read: Any) -> ModelProto:
    onnx = needed("onnx")
    model: ModelProto = onnx.ModelProto(
        ir_version=read.IrVersion(),
        producer_name=_text(read.ProducerName()),
        producer_version=_text(read.ProducerVersion()),
        graph=_graph(read.Graph()),
    )
    for opset in _each(read, "OpsetImport"):
        model.opset_import.add(domain=_text(opset.Domain()), version=opset.Version())
    return model


def _graph(read: Any) -> GraphProto:
    if read.SparseInitializersLength():
        raise CaptureError("this .ort file has sparse weights, which are not read: convert the model with dense ones")
    onnx = needed("onnx")
    types = {_text(info.Name()): info.Type() for info in _each(read, "NodeArgs")}
    graph: GraphProto = onnx.GraphProto(name="graph")
    graph.initializer.extend(_tensor(tensor) for tensor in _each(read, "Initializers"))
    graph.node.extend(in_order([_node(node) for node in _each(read, "Nodes") if node is not None]))
    for names, values in ((_texts(read, "Inputs"), graph.input), (_texts(read, "Outputs"), graph.output)):
        for name in names:
            values.add(name=name, type=_type(types.get(name)))
    own = {name for node in graph.node for name in node.output} - {value.name for value in graph.output}
    graph.value_info.extend(
        onnx.ValueInfoProto(name=name, type=_type(info)) for name, info in types.items() if name in own and info
    )
    return graph


def _node(read: Any) -> NodeProto:
    node: NodeProto = needed("onnx").NodeProto(
        name=_text(read.Name()),
        op_type=_text(read.OpType()),
        domain=_text(read.Domain()),
        input=_texts(read, "Inputs"),
        output=_texts(read, "Outputs"),
    )
    node.attribute.extend(_attribute(attribute) for attribute in _each(read, "Attributes"))
    return node


def _attribute(read: Any) -> AttributeProto:
    attribute: AttributeProto = needed("onnx").AttributeProto(name=_text(read.Name()), type=read.Type())
    kinds = attribute  # the numbers of the types are ONNX's own
    if read.Type() == kinds.FLOAT:
        attribute.f = read.F()
    elif read.Type() == kinds.INT:
        attribute.i = read.I()
    elif read.Type() == kinds.STRING:
        attribute.s = read.S() or b""
    elif read.Type() == kinds.TENSOR:
        attribute.t.CopyFrom(_tensor(read.T()))
    elif read.Type() == kinds.GRAPH:
        attribute.g.CopyFrom(_graph(read.G()))
    elif read.Type() == kinds.FLOATS:
        attribute.floats.extend(read.Floats(i) for i in range(read.FloatsLength()))
    elif read.Type() == kinds.INTS:
        attribute.ints.extend(read.Ints(i) for i in range(read.IntsLength()))
    elif read.Type() == kinds.STRINGS:
        attribute.strings.extend(read.Strings(i) for i in range(read.StringsLength()))
    elif read.Type() == kinds.TENSORS:
        attribute.tensors.extend(_tensor(tensor) for tensor in _each(read, "Tensors"))
    elif read.Type() == kinds.GRAPHS:
        attribute.graphs.extend(_graph(graph) for graph in _each(read, "Graphs"))
    else:
        raise ValueError(f"attribute {attribute.name} has the type {read.Type()}")
    return attribute


def _tensor(read: Any) -> TensorProto:
    tensor: TensorProto = needed("onnx").TensorProto(
        name=_text(read.Name()), data_type=read.DataType(), dims=[read.Dims(i) for i in range(read.DimsLength())]
    )
    if read.DataType() == STRING:
        tensor.string_data.extend(read.StringData(i) for i in range(read.StringDataLength()))
    elif read.RawDataLength():
        tensor.raw_data = np.asarray(read.RawDataAsNumpy()).tobytes()
    elif read.ExternalDataOffset() >= 0:
        raise CaptureError(
            f"the weights {tensor.name} lie in another file, which is not read: convert the model again with its "
            "weights inside"
        )
    else:
        tensor.raw_data = b""  # a tensor with an axis of length 0
    return tensor


def _type(info: Any) -> TypeProto:
    """The type of a value, where the file says so: element type and axes."""
    onnx = needed("onnx")
    made: TypeProto = onnx.TypeProto()
    fbs = flatbuffer_classes()
    if info is None or info.ValueType() != fbs.TypeInfoValue.TypeInfoValue.tensor_type:
        return made
    read = fbs.TensorTypeAndShape.TensorTypeAndShape()
    read.Init(info.Value().Bytes, info.Value().Pos)
    made.tensor_type.elem_type = read.ElemType()
    if read.Shape() is not None:
        made.tensor_type.shape.SetInParent()  # no axes at all is a shape too: a scalar
        for axis in _each(read.Shape(), "Dim"):
            dim, value = made.tensor_type.shape.dim.add(), axis.Value()
            if value is not None and value.DimType() == fbs.DimensionValueType.DimensionValueType.VALUE:
                dim.dim_value = value.DimValue()
            elif value is not None and value.DimType() == fbs.DimensionValueType.DimensionValueType.PARAM:
                dim.dim_param = _text(value.DimParam())
    return made


def _each(read: Any, field: str) -> Iterator[Any]:
    yield from (getattr(read, field)(i) for i in range(getattr(read, f"{field}Length")()))


def _texts(read: Any, field: str) -> list[str]:
    return [_text(name) for name in _each(read, field)]


def _text(read: bytes | None) -> str:
    return (read or b"").decode()
