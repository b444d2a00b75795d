"""A model whose float weights are inputs, so that one session runs it with any weights.

Building a session per set of jittered weights would cost more than the runs do, and would hold
every weight twice more. Weights that only standard operators read become inputs of the main graph,
wherever they stand: initializers, subgraphs, Constant nodes. Other operators may insist on
constants (quantised LSTMs do), so what they read stays inside.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir
from onnx_ir.passes.common import InlinePass

from graphopt.equality.arrays import Array
from graphopt.equality.flow import Flow, constant, is_standard
from graphopt.equality.jitter import holds_exact_values
from graphopt.equality.steady import steady_values
from graphopt.equality.tolerance import SMALL_CONSTANT, is_float

FLOATS = (ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.BFLOAT16, ir.DataType.DOUBLE)


@dataclass
class Lifted:
    """A clone of a model, with its weights apart.

    Attributes:
        model: without functions; every weight in ``fed`` is one of its inputs.
        fed: the weights that are inputs now, as the original holds them (views where possible).
        baked: the initializers to jitter that had to stay, by name.
        steady_inputs: original inputs that must not be jittered.
    """

    model: ir.Model
    fed: dict[str, Array] = field(default_factory=dict)
    baked: dict[str, Array] = field(default_factory=dict)
    steady_inputs: frozenset[str] = frozenset()


def inlined(model: ir.Model) -> ir.Model:
    """A clone without local functions; weights are shared."""
    clone = model.clone()
    if clone.functions:
        _name_omitted_outputs(clone)
        InlinePass()(clone)
    return clone


def _name_omitted_outputs(model: ir.Model) -> None:
    """Name the outputs that calls of functions leave out: inlining hands them to the nodes of the body."""
    nodes = list(model.graph.all_nodes())
    for function in model.functions.values():
        nodes += function.all_nodes()
    taken = {output.name for node in nodes for output in node.outputs}
    fresh = (name for name in map("omitted_{}".format, itertools.count()) if name not in taken)
    for node in nodes:
        if node.op_identifier() in model.functions:
            for output in node.outputs:
                output.name = output.name or next(fresh)


def lift(model: ir.Model, *, feed_weights: bool = True) -> Lifted:
    """Take the weights to jitter out of ``model``.

    Args:
        model: without functions; it is changed.
        feed_weights: False leaves every weight inside (``baked``).
    """
    flow = Flow(model)
    steady = steady_values(model, flow)
    lifted = Lifted(model, steady_inputs=frozenset(v.name or "" for v in model.graph.inputs if v in steady))
    names = _names(model)
    for value, tensor in list(_weights(model)):
        if value in steady:
            continue
        array = _array(tensor)
        if not is_float(array.dtype) or holds_exact_values(array, is_input=False):
            continue
        outside = _move_to_main_graph(model.graph, value, tensor, names)
        if feed_weights and all(is_standard(use.node) for use in flow.uses(outside)):
            lifted.fed[outside.name or ""] = array
            _make_input(model.graph, outside)
        else:
            lifted.baked[outside.name or ""] = array
    return lifted


def _weights(model: ir.Model) -> Iterator[tuple[ir.Value, ir.TensorProtocol]]:
    """Every float constant of more than ``SMALL_CONSTANT`` elements, with the value that names it."""
    for graph in (model.graph, *model.graph.subgraphs()):
        for value in graph.initializers.values():
            if (
                value.const_value is not None
                and _is_weight(value.const_value)
                and not value.is_graph_output()
            ):
                yield value, value.const_value
        for node in graph:
            if node.op_type != "Constant" or not is_standard(node):
                continue
            tensor = constant(node.outputs[0])
            if tensor is not None and _is_weight(tensor) and not node.outputs[0].is_graph_output():
                yield node.outputs[0], tensor


def _is_weight(tensor: ir.TensorProtocol) -> bool:
    return tensor.dtype in FLOATS and tensor.size > SMALL_CONSTANT


def _array(tensor: ir.TensorProtocol) -> Array:
    """The tensor's values, without a copy where its bytes are aligned."""
    array = np.ascontiguousarray(tensor.numpy())
    return array if array.flags.aligned else array.copy()


def _move_to_main_graph(
    main: ir.Graph, value: ir.Value, tensor: ir.TensorProtocol, names: set[str]
) -> ir.Value:
    """Make ``value`` an initializer of the main graph under a name of its own; returns the new value."""
    if value.is_initializer() and value.graph is main:
        return value
    fresh = ir.Value(
        name=_unique(value.name or "weight", names),
        type=ir.TensorType(tensor.dtype),
        shape=ir.Shape(tensor.shape.numpy()),
        const_value=tensor,
    )
    value.replace_all_uses_with(fresh)
    node = value.producer()
    if node is not None and isinstance(node.graph, ir.Graph):
        node.graph.remove(node, safe=True)
    elif isinstance(value.graph, ir.Graph):
        del value.graph.initializers[value.name or ""]
    main.register_initializer(fresh)
    return fresh


def _make_input(main: ir.Graph, value: ir.Value) -> None:
    tensor = value.const_value
    assert tensor is not None
    value.shape = ir.Shape(tensor.shape.numpy())
    value.type = ir.TensorType(tensor.dtype)
    del main.initializers[value.name or ""]
    value.const_value = None
    if not value.is_graph_input():
        main.inputs.append(value)


def _names(model: ir.Model) -> set[str]:
    names: set[str] = set()
    for graph in (model.graph, *model.graph.subgraphs()):
        names.update(v.name for v in graph.inputs if v.name)
        names.update(graph.initializers)
        names.update(v.name for node in graph for v in node.outputs if v.name)
    return names


def _unique(stem: str, taken: set[str]) -> str:
    name, number = stem, 0
    while name in taken:
        number += 1
        name = f"{stem}__{number}"
    taken.add(name)
    return name
