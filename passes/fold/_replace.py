"""Puts a constant where a computed value was."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from graphopt.ir.walk import subgraphs

Array = npt.NDArray[np.generic]


def replace_by_constant(value: ir.Value, array: Array, model: ir.Model) -> ir.Value:
    """Let an initializer of the same name stand for ``value``; its node goes once nothing needs it.

    Args:
        value: an output of a node of the main graph or of its subgraphs, and no graph output.
        array: what it holds.
        model: the whole, whose main graph holds the constants, as in any canonical model.
    """
    node = value.producer()
    assert node is not None
    graph = node.graph
    assert isinstance(graph, ir.Graph)  # functions hold no initializers
    name = value.name
    home = graph if name in model.graph.initializers else model.graph
    tensor = ir.tensor(np.asarray(array, order="C"), dtype=value.dtype, name=name)
    constant = ir.Value(
        name=name, type=ir.TensorType(tensor.dtype), shape=ir.Shape(tensor.shape.numpy()), const_value=tensor
    )
    value.name = f"{name}_folded"
    value.replace_all_uses_with(constant)
    home.register_initializer(constant)
    remove_if_dead(node)
    return constant


def remove_if_dead(node: ir.Node) -> bool:
    """Remove ``node`` when nothing needs any of its outputs and it captures nothing."""
    if node.graph is None or any(subgraphs(node)):
        return False
    if any(value.uses() or value.is_graph_output() for value in node.outputs):
        return False
    node.graph.remove(node, safe=True)
    return True
