"""If: both branches in the plan, one of them run."""

from __future__ import annotations

import onnx_ir as ir

from graphopt.backends.native.lower.context import Context, Refusal
from graphopt.backends.native.lower.movement import Lowering
from graphopt.backends.native.plan import Program, Value


def lower_if(node: ir.Node, ctx: Context) -> None:
    """``if``: the branches read the values around them by number and give results of equal types."""
    branches = [_branch(node, ctx, name) for name in ("then_branch", "else_branch")]
    for then, otherwise in zip(*(branch.outputs for branch in branches), strict=True):
        if ctx.strict and then.dtype != otherwise.dtype:
            raise Refusal("its branches give results of equal dtypes")
        if _differ(then, otherwise):
            raise Refusal("its branches give results of equal shapes")
    outputs: list[Value | None] = [ctx.output(node, i) for i in range(len(node.outputs))]
    for output, then in zip(outputs, branches[0].outputs, strict=True):
        assert output is not None
        output.dtype = output.dtype or then.dtype
    ctx.emit(node, "if", [ctx.value(node.inputs[0])], outputs, programs=branches)


def _branch(node: ir.Node, ctx: Context, name: str) -> Program:
    from graphopt.backends.native.lower.graph import lower_graph

    attr = node.attributes.get(name)
    if attr is None or attr.is_ref():
        raise Refusal(f"it has no {name}")
    return lower_graph(attr.as_graph(), Context(ctx))


def _differ(a: Value, b: Value) -> bool:
    """Whether two values certainly have different shapes."""
    if a.dims is None or b.dims is None:
        return False
    if len(a.dims) != len(b.dims):
        return True
    return any(
        isinstance(x, int) and isinstance(y, int) and x != y for x, y in zip(a.dims, b.dims, strict=True)
    )


CONTROL: dict[str, Lowering] = {"If": lower_if}
