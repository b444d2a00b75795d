"""Constants that scale or shift channels behind a linear operator, read and written into it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir

from graphopt.passes.linear._factors import Vector, along, fits, is_only_here, rounded
from graphopt.passes.linear._hosts import Host
from graphopt.passes.linear._parts import Source
from graphopt.rewrite.constants import constant_tensor
from graphopt.rewrite.scope import Scope

_OPS = ("Add", "Div", "Mul", "Sub")


@dataclass
class Affine:
    """A factor and a shift for every channel, and the nodes that apply them."""

    factor: Vector
    shift: Vector
    nodes: list[ir.Node] = field(default_factory=list)


def may_shift(found: Source) -> bool:
    """Whether the operator has, or can have, a bias."""
    return found.host.op != "MatMul" or found.addition is not None


def read_steps(values: Sequence[ir.Value], axis: int, parts: tuple[int, ...], *, shifts: bool) -> Affine:
    """Everything behind the parts that the operator could absorb."""
    found = Affine(np.ones(sum(parts)), np.zeros(sum(parts)))
    start = 0
    for value, size in zip(values, parts, strict=True):
        part = slice(start, start + size)
        start += size
        while (found_step := step(value, axis, size)) is not None:
            reader, number = found_step
            if reader.op_type in ("Add", "Sub"):
                if not shifts:
                    break
                found.shift[part] += -number if reader.op_type == "Sub" else number
            else:
                with np.errstate(all="ignore"):
                    factor = 1 / number if reader.op_type == "Div" else number
                    found.factor[part] *= factor
                    found.shift[part] *= factor
            found.nodes.append(reader)
            value = reader.outputs[0]
    return found


def step(value: ir.Value, axis: int, size: int) -> tuple[ir.Node, Vector] | None:
    """The one reader of ``value`` where it scales or shifts it by constants along ``axis``; any size if 0."""
    uses = list(value.uses())
    if len(uses) != 1 or value.is_graph_output() or value.shape is None:
        return None
    reader, position = uses[0].node, uses[0].idx
    if reader.op_type not in _OPS or reader.domain != "" or reader.graph is not _graph(value):
        return None
    if reader.op_type in ("Div", "Sub") and position != 0:
        return None
    other = reader.inputs[1 - position]
    if other is None or reader.outputs[0].is_graph_output():
        return None
    rank = len(value.shape)
    number = along(other, axis - rank, rank)
    if number is None or (size and number.size not in (1, size)):
        return None
    return reader, number


def _graph(value: ir.Value) -> ir.Graph | None:
    producer = value.producer()
    return None if producer is None else producer.graph


def refusal(found: Source, affine: Affine) -> str | None:
    """Why the constants cannot be written anew, or None."""
    host = found.host
    if not is_only_here(host.weight) and np.any(affine.factor != 1):
        return f"the weight {host.weight.name!r} is shared"
    if _old_bias(found) is None:
        return "its bias is computed or varies along another axis"
    if host.attributes.get("beta", 1.0) == 0:
        return "its bias is multiplied by zero"
    if not host.represents(host.scaled(affine.factor)) or not fits(_new_bias(found, affine), host.dtype):
        return f"the weight {host.weight.name!r} times the factors leaves the range of its type"
    return None


def _old_bias(found: Source) -> Vector | None:
    if found.addition is None:
        return found.host.bias_vector()
    left, right = found.addition.inputs
    given = right if left is found.host.node.outputs[0] else left
    return None if given is None else found.host.factor_of(given)


def _new_bias(found: Source, affine: Affine) -> Vector:
    old = _old_bias(found)
    assert old is not None, "asked for before"
    with np.errstate(all="ignore"):
        return old * affine.factor + affine.shift


def write(found: Source, affine: Affine, home: ir.Graph, scope: Scope) -> None:
    """Give the operator its new constants."""
    host = found.host
    if np.any(affine.factor != 1):
        weight = host.scaled(affine.factor)
        _replace(host.node, 1, _constant(host, weight, "weight", home, scope))
    bias = _new_bias(found, affine)
    if found.addition is not None:
        left, _ = found.addition.inputs
        position = 1 if left is host.node.outputs[0] else 0
        _replace(found.addition, position, _constant(host, bias, "bias", home, scope))
    elif host.bias is not None or np.any(bias):
        host.node.resize_inputs(3)
        whole = bias / host.attributes.get("beta", 1.0)
        _replace(host.node, 2, _constant(host, whole, "bias", home, scope))


def _constant(host: Host, array: Vector, name: str, home: ir.Graph, scope: Scope) -> ir.Value:
    tensor = ir.tensor(rounded(array, host.dtype))
    value = ir.Value(
        name=scope.unique(f"{host.node.outputs[0].name}.{name}"),
        type=ir.TensorType(tensor.dtype),
        shape=ir.Shape(tensor.shape.numpy()),
        const_value=tensor,
    )
    home.register_initializer(value)
    return value


def _replace(node: ir.Node, position: int, value: ir.Value) -> None:
    old = node.inputs[position]
    node.replace_input_with(position, value)
    if old is not None:
        _drop(old)


def bypass(node: ir.Node) -> None:
    """Let the readers of a step read what it read."""
    assert node.graph is not None
    kept = next(value for value in node.inputs if value is not None and constant_tensor(value) is None)
    given = [value for value in node.inputs if value is not None and value is not kept]
    node.outputs[0].replace_all_uses_with(kept)
    node.graph.remove(node, safe=True)
    for value in given:
        _drop(value)


def _drop(value: ir.Value) -> None:
    """Remove an initializer that nothing reads any more; Constant nodes are left to dead code."""
    if (
        value.is_initializer()
        and not value.uses()
        and not (value.is_graph_input() or value.is_graph_output())
    ):
        assert value.graph is not None
        assert value.name is not None
        value.graph.initializers.pop(value.name)
