"""Which nodes the native core takes: those it can lower and whose shapes will be known when it runs."""

from __future__ import annotations

from collections.abc import Iterator

import onnx_ir as ir

from graphopt.backends.base import Claim
from graphopt.backends.native.lower.context import Context, Refusal
from graphopt.backends.native.lower.graph import NodeRefused
from graphopt.backends.native.lower.table import lowering_of
from graphopt.backends.native.quantized import between_quantisers
from graphopt.backends.native.shape_inputs import MOST_CONTROLLING, deciding
from graphopt.rewrite.constants import constant_tensor

OLDEST_OPSET = 13
"""Before it operators mean other things (Softmax) or keep axes in attributes. Canonical models are newer."""

_FOLDED = """
    Abs Add And Cast CastLike Ceil Clip Concat ConstantOfShape CumSum Div Equal Expand Flatten Floor Gather
    GatherElements GatherND Greater GreaterOrEqual Identity Less LessOrEqual Max Min Mod Mul Neg Not OneHot
    Or Pad Pow Range Reciprocal ReduceMax ReduceMin ReduceProd ReduceSum Reshape Round ScatterElements
    ScatterND Slice Split Sqrt Squeeze Sub Sum Tile Transpose Trilu Unsqueeze Where Xor
"""
_FOLDING = frozenset(_FOLDED.split())
"""Operators whose results are known where their inputs are; they are run while shapes are resolved."""


def claim(node: ir.Node) -> Claim:
    """Whether the native core takes a node."""
    try:
        check(node)
    except Refusal as error:
        return Claim(False, str(error))
    except NodeRefused as error:
        return Claim(False, error.reason)
    return Claim(True)


def check(node: ir.Node) -> None:
    """Lower the node for a try.

    Raises:
        Refusal: it cannot be lowered, or its shapes depend on data.
    """
    if node.op_type == "Constant" and node.domain in ("", "ai.onnx"):
        _check_constant(node)
        return
    graph = node.graph
    opset = OLDEST_OPSET if graph is None else graph.opset_imports.get("", OLDEST_OPSET)
    if opset < OLDEST_OPSET:
        raise Refusal(f"it knows operators from opset {OLDEST_OPSET} on, not those of {opset}")
    if between_quantisers(node):
        raise Refusal("between quantisers ONNX Runtime computes in integers")
    ctx = Context(strict=False)
    lowering_of(node)(node, ctx)
    values = {ctx.find(value): value for value in node.inputs if value is not None}
    for step in ctx.steps:
        for value in deciding(step):
            source = values.get(value)
            if source is not None and not is_resolvable(source):
                raise Refusal(f"a shape depends on the data in '{value.name}'")


_NUMBERS = frozenset({"value", "value_float", "value_floats", "value_int", "value_ints"})


def _check_constant(node: ir.Node) -> None:
    if any(attr.is_ref() and attr.name in _NUMBERS for attr in node.attributes.values()):
        return  # in the body of a function; every call of it says which number
    value = Context(strict=False).value(node.outputs[0])
    if value.tensor is None:
        raise Refusal("it has no such constants")
    if value.dtype is None or value.tensor.dtype.bitwidth < 8 or value.tensor.dtype.is_string():
        raise Refusal(f"it has no {value.tensor.dtype.name.lower()}")


def is_resolvable(value: ir.Value) -> bool:
    """Whether a value's contents are known before the plan runs.

    They are if it comes from constants, shapes and small inputs of the model by operators in ``_FOLDING``.
    """
    seen = {value}
    work = [value]
    while work:
        for source in _sources(work.pop()):
            if source is None:
                return False
            if source not in seen:
                seen.add(source)
                work.append(source)
    return True


def _sources(value: ir.Value) -> Iterator[ir.Value | None]:
    """The values this one is computed from; None if it is not known ahead."""
    if constant_tensor(value) is not None:
        return
    node = value.producer()
    if node is None:
        if not _is_small(value):
            yield None
        return
    if node.domain not in ("", "ai.onnx"):
        yield None
    elif node.op_type in ("Shape", "Size"):
        return
    elif node.op_type in _FOLDING:
        yield from (source for source in node.inputs if source is not None)
    else:
        yield None


def _is_small(value: ir.Value) -> bool:
    """Whether an input of the graph has few elements; of a function's nothing is known."""
    if value.shape is None:
        return value.dtype is None
    count = 1
    for dim in value.shape:
        if not isinstance(dim, int):
            return False
        count *= dim
    return count <= MOST_CONTROLLING
