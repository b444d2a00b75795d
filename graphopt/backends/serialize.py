"""Write a model as ONNX bytes whose large weights stay outside the protobuf.

The weights are handed to a sink that decides where their bytes go (a weights file, a session's
memory), so no weight is ever copied through a protobuf message and the 2 GB limit is never met.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, cast

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from graphopt.errors import BackendError
from graphopt.ir.signature import restore, signature_of

if TYPE_CHECKING:
    import onnx

Array = npt.NDArray[np.generic]

INLINE_BELOW = 1024
"""Tensors smaller than this many bytes stay in the protobuf: shapes and axes must be readable there."""


class WeightSink(Protocol):
    """Where the bytes of large weights go."""

    @property
    def location(self) -> str:
        """File name the serialised model refers to, relative to its own folder."""

    def place(self, name: str, tensor: ir.TensorProtocol) -> tuple[int, int] | None:
        """Take one main-graph initializer and return the (offset, length) of its bytes in ``location``.

        None leaves the tensor in the protobuf.
        """


class _OuterView:
    """A model as the serialiser sees it: the original with another main graph."""

    def __init__(self, model: ir.Model, graph: ir.GraphView, ir_version: int) -> None:
        self._model = model
        self.ir_version = ir_version
        self.graph = graph
        self.opset_imports = graph.opset_imports

    def __getattr__(self, name: str) -> object:
        return getattr(self._model, name)


def serialize(
    model: ir.Model,
    sink: WeightSink | None = None,
    *,
    inline_below: int = INLINE_BELOW,
    overrides: Mapping[str, Array] | None = None,
    extra_outputs: Iterable[str] = (),
    opset: int | None = None,
    ir_version: int | None = None,
    provenance: bool = True,
) -> bytes:
    """The model as ONNX bytes; the model itself is not changed.

    Args:
        model: any level. Large weights leave the protobuf only as initializers of the main graph
            (see ``flatten.flatten``, which lifts the others there).
        sink: takes every main-graph initializer of at least ``inline_below`` bytes; None keeps
            everything in the protobuf.
        inline_below: in bytes.
        overrides: other contents for named main-graph initializers, of the same dtype and shape.
        extra_outputs: names of further values of the main graph to return after the outputs.
        opset: number of the standard opset to write instead of the model's own; every node must mean
            the same there (see ``ir.opset.restamp``).
        ir_version: to write instead of the model's own.
        provenance: False leaves out what the passes noted at the nodes: a runtime has no use for it.

    Raises:
        BackendError: ``overrides`` or ``extra_outputs`` names something the main graph does not have.
    """
    graph = model.graph
    overrides = dict(overrides or {})
    initializers: list[ir.Value] = []
    for name, value in graph.initializers.items():
        tensor = value.const_value
        if name in overrides:
            tensor = _override(value, overrides.pop(name))
        if tensor is not None:
            tensor = _stored(name, tensor, sink if _is_large(tensor, inline_below) else None)
        initializers.append(value if tensor is value.const_value else _with_tensor(value, tensor))
    if overrides:
        raise BackendError(f"the model has no initializer '{next(iter(overrides))}' to override")
    view = ir.GraphView(
        graph.inputs,
        [*graph.outputs, *_named_values(graph, extra_outputs)],
        nodes=list(graph),
        initializers=initializers,
        doc_string=graph.doc_string,
        opset_imports=graph.opset_imports if opset is None else {**graph.opset_imports, "": opset},
        name=graph.name,
        metadata_props=graph.metadata_props,
    )
    outer = _OuterView(model, view, model.ir_version if ir_version is None else ir_version)
    proto = ir.serde.serialize_model(cast("ir.ModelProtocol", outer))
    restore(proto, signature_of(model))
    if not provenance:
        _forget_provenance(proto.graph)
    return bytes(proto.SerializeToString())


def _forget_provenance(graph: onnx.GraphProto) -> None:
    for node in graph.node:
        node.ClearField("metadata_props")
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                _forget_provenance(inner)


def _is_large(tensor: ir.TensorProtocol, inline_below: int) -> bool:
    return tensor.dtype != ir.DataType.STRING and tensor.nbytes >= inline_below


def _stored(name: str, tensor: ir.TensorProtocol, sink: WeightSink | None) -> ir.TensorProtocol:
    """The tensor as the protobuf will hold it: a reference into the sink's file, or the bytes themselves."""
    if sink is not None and (placed := sink.place(name, tensor)) is not None:
        return ir.ExternalTensor(sink.location, *placed, tensor.dtype, shape=_static(tensor.shape), name=name)
    if isinstance(tensor, ir.ExternalTensor):
        return ir.Tensor(tensor.numpy(), dtype=tensor.dtype, name=name)
    return tensor


def _static(shape: ir.ShapeProtocol) -> ir.Shape:
    return ir.Shape([int(cast("int", dim)) for dim in shape])


def _override(value: ir.Value, array: Array) -> ir.TensorProtocol:
    old = value.const_value
    if old is not None and tuple(array.shape) != tuple(old.shape.numpy()):
        shapes = f"{list(array.shape)} instead of {list(old.shape.numpy())}"
        raise BackendError(f"the override of initializer '{value.name}' has shape {shapes}")
    return ir.Tensor(array, dtype=None if old is None else old.dtype, name=value.name)


def _with_tensor(value: ir.Value, tensor: ir.TensorProtocol | None) -> ir.Value:
    copy = ir.Value(
        name=value.name,
        type=value.type,
        shape=None if value.shape is None else value.shape.copy(),
        doc_string=value.doc_string,
        const_value=tensor,
    )
    copy.metadata_props.update(value.metadata_props)
    copy.meta.update(value.meta)
    return copy


def _named_values(graph: ir.Graph, names: Iterable[str]) -> Sequence[ir.Value]:
    wanted = [name for name in names if name not in {output.name for output in graph.outputs}]
    if not wanted:
        return []
    by_name = {value.name: value for value in (*graph.inputs, *graph.initializers.values())}
    by_name |= {output.name: output for node in graph for output in node.outputs}
    for name in wanted:
        if name not in by_name:
            raise BackendError(f"the model has no value '{name}' to return")
    return [by_name[name] for name in wanted]
