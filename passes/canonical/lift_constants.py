"""LiftConstants: Constant nodes become initializers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass


@dataclass(frozen=True)
class LiftConstants(Pass):
    """Turn Constant nodes of the main graph and of subgraphs into initializers of the main graph.

    Before: ``c = Constant() {value_ints=[1, 2]}`` inside a branch of If.
    After:  an initializer ``c`` of the main graph; subgraphs' own initializers move there too.
    Needs:  names unique over the main graph and its subgraphs (name-values); IR version 4 or later.
    Keeps:  tensors as they are: shared ones stay shared, nothing is copied.
    Skips:  constants that are a graph output themselves; function bodies, which have no initializers.

    Constants move up to the main graph because there every pass finds them, equal ones in sibling
    branches can be merged, and a subgraph that computes from constants alone can be folded.
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Lift every Constant whose value can be told."""
        lifted = 0
        for node in list(model.graph.all_nodes()):
            if node.op_type == "Constant" and node.domain == "":
                lifted += self._try_lift(node, model, ctx)
        moved = sum(_move_up(graph, model.graph) for graph in model.graph.subgraphs())
        if lifted or moved:
            ctx.applied(self.name(), None, f"{lifted} Constant nodes lifted, {moved} initializers moved up")
        return bool(lifted or moved)

    def _try_lift(self, node: ir.Node, model: ir.Model, ctx: PassContext) -> bool:
        result = node.outputs[0]
        if result.is_graph_output():
            return False
        tensor = constant_tensor(node)
        if tensor is None:
            ctx.missed(self.name(), node, "its attributes give no value")
            return False
        if not result.name or result.name in model.graph.initializers:
            ctx.missed(self.name(), node, "its output has no name of its own: run name-values first")
            return False
        value = ir.Value(
            name=result.name,
            type=ir.TensorType(tensor.dtype),
            shape=ir.Shape(tensor.shape.numpy()),
            doc_string=result.doc_string,
            const_value=tensor,
            metadata_props=dict(result.metadata_props),
        )
        value.meta.update(result.meta)
        result.replace_all_uses_with(value)
        graph = node.graph
        if graph is None:
            return False
        graph.remove(node, safe=True)
        model.graph.initializers.add(value)
        return True


def constant_tensor(node: ir.Node) -> ir.TensorProtocol | None:
    """The value of a Constant node in whichever attribute it is spelled, or None."""
    attributes = [a for a in node.attributes.values() if not a.name.startswith("__")]
    if len(attributes) != 1 or attributes[0].is_ref():
        return None
    attribute = attributes[0]
    name = node.outputs[0].name
    match attribute.name:
        case "value":
            return attribute.as_tensor()
        case "value_int":
            return ir.Tensor(np.array(attribute.as_int(), np.int64), name=name)
        case "value_ints":
            return ir.Tensor(np.array(attribute.as_ints(), np.int64), name=name)
        case "value_float":
            return ir.Tensor(np.array(attribute.as_float(), np.float32), name=name)
        case "value_floats":
            return ir.Tensor(np.array(attribute.as_floats(), np.float32), name=name)
        case "value_string":
            return ir.StringTensor([_encoded(attribute.value)], shape=ir.Shape([]), name=name)
        case "value_strings":
            strings = [_encoded(s) for s in attribute.value]
            return ir.StringTensor(strings, shape=ir.Shape([len(strings)]), name=name)
    return None


def _encoded(text: object) -> bytes:
    return text if isinstance(text, bytes) else str(text).encode()


def _move_up(graph: ir.Graph, main: ir.Graph) -> int:
    """Give a subgraph's initializers to the main graph; those it takes or returns itself stay."""
    movable = [
        (name, value)
        for name, value in graph.initializers.items()
        if not value.is_graph_input() and not value.is_graph_output() and name not in main.initializers
    ]
    for name, value in movable:
        graph.initializers.pop(name)
        main.initializers.add(value)
    return len(movable)
