"""A graph of canonical ONNX as a program of plan steps, all in ONNX's own layout."""

from __future__ import annotations

import onnx_ir as ir

from graphopt.backends.native.lower.context import Context, Refusal
from graphopt.backends.native.lower.table import lowering_of
from graphopt.backends.native.plan import Program, Step, Value


class NodeRefused(Exception):
    """A node of the graph has no steps.

    Attributes:
        node: in the graph being lowered, or in one of its branches.
        reason: why.
    """

    def __init__(self, node: ir.Node, reason: str) -> None:
        super().__init__(reason)
        self.node = node
        self.reason = reason


def lower_graph(graph: ir.Graph, ctx: Context) -> Program:
    """Lower every node.

    Args:
        graph: sorted, with dtypes on its values.
        ctx: a fresh context.

    Raises:
        NodeRefused: for the first node that cannot be lowered.
    """
    inputs = [ctx.value(value) for value in graph.inputs]
    for node in graph:
        lower_node(node, ctx)
    written = {output for step in ctx.steps for output in step.outputs}
    outputs = [_own(ctx, value, written) for value in graph.outputs]
    return Program(inputs, _distinct(ctx, outputs), ctx.steps)


def lower_node(node: ir.Node, ctx: Context) -> None:
    """Lower one node; raises NodeRefused."""
    if node.op_type == "Constant" and node.domain == "":
        return
    try:
        lowering_of(node)(node, ctx)
    except Refusal as error:
        raise NodeRefused(node, str(error)) from error


def _own(ctx: Context, value: ir.Value, written: set[Value | None]) -> Value:
    """A result of the graph as a value some step of the program writes."""
    found = ctx.value(value)
    return found if found in written else _identity(ctx, found)


def _distinct(ctx: Context, outputs: list[Value]) -> list[Value]:
    """Each result another value, though the graph may return one twice."""
    seen: set[Value] = set()
    found = []
    for value in outputs:
        found.append(_identity(ctx, value) if value in seen else value)
        seen.add(found[-1])
    return found


def _identity(ctx: Context, value: Value) -> Value:
    copy = Value(value.name, value.dtype, value.dims)
    ctx.steps.append(Step(value.name, "identity", [value], [copy]))
    return copy
