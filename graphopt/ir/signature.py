"""What a model declares at its border, kept word for word while the compiler works with cleaned dims."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

import onnx
import onnx_ir as ir

from graphopt.ir.dims import is_made_up
from graphopt.ir.map_types import has_map, put_back

_KEY = "graphopt.signature"

Dims = tuple[int | str | None, ...]


@dataclass(frozen=True)
class Signature:
    """The dims of inputs and outputs as the model's author wrote them, unknown rank as None.

    Attributes:
        inputs: by name; a dim is a number (-1 included), a name as written, or None when blank.
        outputs: the same.
        specialised: whether input shapes were set since: numbers found by inference then replace
            declared names on outputs.
    """

    inputs: Mapping[str, Dims | None]
    outputs: Mapping[str, Dims | None]
    specialised: bool = False


def capture(model: ir.Model) -> Signature:
    """Read the signature off a freshly imported model and keep it with the graph."""
    signature = Signature(_dims_of(model.graph.inputs), _dims_of(model.graph.outputs))
    model.graph.meta[_KEY] = signature
    return signature


def signature_of(model: ir.Model) -> Signature | None:
    """The signature the model was imported with, or None for graphs made by the compiler."""
    found = model.graph.meta.get(_KEY)
    return found if isinstance(found, Signature) else None


def forget(model: ir.Model) -> None:
    """Let the dims of inputs and outputs be written as they are in the graph, not as they were declared."""
    model.graph.meta.pop(_KEY, None)


def specialise(model: ir.Model, inputs: Mapping[str, Dims | None], bindings: Mapping[str, int]) -> None:
    """Note that some inputs got other dims, and that their declared names in ``bindings`` are numbers now.

    Outputs keep their declared names: they are claims, and only inference turns them into numbers.
    """
    old = signature_of(model)
    if old is None:
        return

    def bound(dims: Dims | None) -> Dims | None:
        return None if dims is None else tuple(bindings.get(d, d) if isinstance(d, str) else d for d in dims)

    names = [value.name or "" for value in model.graph.inputs]
    new_inputs = {n: inputs[n] if n in inputs else bound(old.inputs.get(n)) for n in names}
    model.graph.meta[_KEY] = replace(old, inputs=new_inputs, specialised=True)


def restore(proto: onnx.ModelProto, signature: Signature | None) -> None:
    """Write the declared dims and map types back in a serialised model; blank made-up names."""
    _blank_unknown(proto.graph)
    put_back(proto.graph)
    if signature is None:
        return
    for values, declared in ((proto.graph.input, signature.inputs), (proto.graph.output, signature.outputs)):
        for value in values:
            dims = declared.get(value.name)
            field = leaf_shape(value.type)
            if dims is not None and field is not None:
                _restore_shape(field, dims, signature.specialised)


def _blank_unknown(graph: onnx.GraphProto) -> None:
    for value in (*graph.input, *graph.output, *graph.value_info):
        shape = leaf_shape(value.type)
        for dim in () if shape is None else shape.dim:
            if any(is_made_up(symbol) for symbol in re.findall(r"[A-Za-z_]\w*", dim.dim_param)):
                dim.ClearField("dim_param")
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                _blank_unknown(attribute.g)
            for subgraph in attribute.graphs:
                _blank_unknown(subgraph)


def leaf_shape(type_: onnx.TypeProto) -> onnx.TensorShapeProto | None:
    """The shape field of a tensor type, or of the tensor type inside a sequence or optional."""
    kind = type_.WhichOneof("value")
    if kind in ("sequence_type", "optional_type"):
        return leaf_shape(getattr(type_, kind).elem_type)
    if kind is None or has_map(type_):
        return None
    leaf = getattr(type_, kind)
    return leaf.shape if leaf.HasField("shape") else None


def _restore_shape(shape: onnx.TensorShapeProto, dims: Dims, specialised: bool) -> None:
    if len(shape.dim) != len(dims):
        return
    for dim, declared in zip(shape.dim, dims, strict=True):
        if specialised and dim.WhichOneof("value") == "dim_value":
            continue
        if declared is None:
            dim.ClearField("dim_value")
            dim.ClearField("dim_param")
        elif isinstance(declared, int):
            dim.dim_value = declared
        else:
            dim.dim_param = declared


def _dims_of(values: object) -> dict[str, Dims | None]:
    return {value.name: raw_dims(value.shape) for value in values}  # type: ignore[attr-defined]


def raw_dims(shape: ir.Shape | None) -> Dims | None:
    """A shape's dims as plain Python: numbers, names, None."""
    return None if shape is None else tuple(d if isinstance(d, int) else d.value for d in shape)
