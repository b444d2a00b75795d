"""Prepare a model for a runtime that knows neither local functions nor out-of-graph weights.

Functions are inlined (ONNX Runtime does it in quadratic time) and large constants of subgraphs and
Constant nodes become initializers of the main graph, where their bytes can stay outside the protobuf.
"""

from __future__ import annotations

import onnx_ir as ir

from graphopt.backends.serialize import INLINE_BELOW
from graphopt.rewrite.inline import inline_functions
from graphopt.rewrite.names import Names


def flatten(model: ir.Model, *, inline: bool = True, lift_from: int = INLINE_BELOW) -> ir.Model:
    """The model without local functions and without large constants below the main graph.

    Returns:
        ``model`` itself when nothing had to be done, else a changed clone: the argument is never
        modified. Weights are shared with the argument.

    Args:
        model: any level.
        inline: False leaves local functions, and the constants inside them, as they are.
        lift_from: bytes from which a constant of a subgraph or Constant node is lifted. External
            tensors are lifted whatever their size: no runtime resolves them there.
    """
    inline = inline and bool(model.functions)
    if not inline and not _has_large_inner_constants(model, lift_from):
        return model
    flat = model.clone()
    if inline:
        inline_functions(flat)
    _lift_constants(flat, lift_from)
    return flat


def _must_lift(tensor: ir.TensorProtocol | None, lift_from: int) -> bool:
    if tensor is None or tensor.dtype == ir.DataType.STRING:
        return False
    return isinstance(tensor, ir.ExternalTensor) or tensor.nbytes >= lift_from


def _constant_tensor(node: ir.Node) -> ir.TensorProtocol | None:
    if node.op_type != "Constant" or node.domain not in ("", "ai.onnx"):
        return None
    attr = node.attributes.get("value")
    return attr.as_tensor() if attr is not None and not attr.is_ref() else None


def _has_large_inner_constants(model: ir.Model, lift_from: int) -> bool:
    if any(_must_lift(_constant_tensor(node), lift_from) for node in model.graph.all_nodes()):
        return True
    return any(
        _must_lift(value.const_value, lift_from)
        for graph in model.graph.subgraphs()
        for value in graph.initializers.values()
    )


def _lift_constants(model: ir.Model, lift_from: int) -> None:
    main = model.graph
    names = Names.of(main)
    outputs = {id(value) for graph in (main, *main.subgraphs()) for value in graph.outputs}

    def lifted(old: ir.Value, tensor: ir.TensorProtocol) -> ir.Value:
        name = names.fresh(old.name or "constant")
        value = ir.Value(
            name=name,
            shape=ir.Shape(tensor.shape.numpy()),
            type=ir.TensorType(tensor.dtype),
            const_value=tensor,
        )
        main.register_initializer(value)
        return value

    for graph in list(main.subgraphs()):
        for name, value in list(graph.initializers.items()):
            tensor = value.const_value
            if tensor is None or not _must_lift(tensor, lift_from) or id(value) in outputs:
                continue
            value.replace_all_uses_with(lifted(value, tensor))
            del graph.initializers[name]
    for node in list(main.all_nodes()):
        tensor = _constant_tensor(node)
        if tensor is None or not _must_lift(tensor, lift_from) or id(node.outputs[0]) in outputs:
            continue
        node.outputs[0].replace_all_uses_with(lifted(node.outputs[0], tensor))
        owner = node.graph
        assert owner is not None
        owner.remove(node, safe=True)
