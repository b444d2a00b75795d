"""What the driver needs to know about operators: defaults, commutation, broadcasting, types."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

import onnx
import onnx.defs
import onnx_ir as ir

COMMUTATIVE = frozenset(
    {
        "Add",
        "And",
        "BitwiseAnd",
        "BitwiseOr",
        "BitwiseXor",
        "Equal",
        "Max",
        "Mean",
        "Min",
        "Mul",
        "Or",
        "Sum",
        "Xor",
    }
)
"""Standard operators whose two inputs may be exchanged."""

BROADCASTING = COMMUTATIVE | {
    "BitShift",
    "Div",
    "Greater",
    "GreaterOrEqual",
    "Less",
    "LessOrEqual",
    "Mod",
    "PRelu",
    "Pow",
    "Sub",
    "Where",
}
"""Standard operators whose inputs are broadcast against one another."""


_UNARY = """
    Abs Acos Acosh Asin Asinh Atan Atanh BitwiseNot Cast Ceil Celu Clip Cos Cosh Elu Erf Exp Floor Gelu
    HardSigmoid HardSwish Identity IsInf IsNaN LeakyRelu Log Mish Neg Not Reciprocal Relu Round Selu
    Sigmoid Sign Sin Sinh Softplus Softsign Sqrt Swish Tan Tanh ThresholdedRelu
"""
UNARY = frozenset(_UNARY.split())
"""Standard operators that compute each element from one of their first input; the others are scalars."""

_REDUCING = """
    ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum
    ReduceSumSquare
"""
REDUCING = frozenset(_REDUCING.split())
"""Standard operators that reduce their first input along the axes of their second."""

_MULTIPLYING = """
    Attention Conv ConvTranspose DeformConv Einsum GRU Gemm LSTM MatMul RNN
"""
MULTIPLYING = frozenset(_MULTIPLYING.split())
"""Standard operators that sum products of two tensors: where the arithmetic of most models is."""


def is_commutative(domain: str, op_type: str) -> bool:
    """Whether exchanging the two inputs leaves the result unchanged."""
    return domain == "" and op_type in COMMUTATIVE


def is_broadcasting(domain: str, op_type: str) -> bool:
    """Whether the inputs are broadcast against one another."""
    return domain == "" and op_type in BROADCASTING


@lru_cache(maxsize=4096)
def schema(domain: str, op_type: str, opset: int) -> onnx.defs.OpSchema | None:
    """The operator's schema at ``opset``, or None when ONNX does not define it."""
    try:
        return onnx.defs.get_schema(op_type, opset, domain)
    except onnx.defs.SchemaError:
        return None


@lru_cache(maxsize=4096)
def defaults(domain: str, op_type: str, opset: int) -> Mapping[str, ir.Attr]:
    """The attributes that have a default, by name."""
    found = schema(domain, op_type, opset)
    if found is None:
        return {}
    return {
        name: ir.serde.deserialize_attribute(attribute.default_value)
        for name, attribute in found.attributes.items()
        if attribute.default_value.type != onnx.AttributeProto.UNDEFINED
    }


def has_open_outputs(domain: str, op_type: str, opset: int) -> bool:
    """Whether the number of outputs is part of what the node means, as for Split."""
    found = schema(domain, op_type, opset)
    return found is not None and any(o.option == _VARIADIC for o in found.outputs)


_VARIADIC = onnx.defs.OpSchema.FormalParameterOption.Variadic


def opset_of(graph: ir.Graph | ir.Function, model: ir.Model, domain: str = "") -> int:
    """The version of ``domain`` that ``graph`` is written in; 0 when it imports none."""
    own = graph.opset_imports.get(domain) if isinstance(graph, ir.Function) else None
    return own or model.opset_imports.get(domain) or model.opset_imports.get("ai.onnx", 0)


def literal_dtype(
    node_schema: onnx.defs.OpSchema, index: int, inputs: Sequence[ir.Value | None]
) -> ir.DataType:
    """The element type a literal at input ``index`` must have.

    It is that of an input of the same type variable; else that of the first input where the schema
    allows it, else int64.

    Raises:
        ValueError: the schema leaves it open, so the rule has to spell it.
    """
    wanted = _formal(node_schema, index)
    for other, value in enumerate(inputs):
        if value is not None and value.dtype is not None and _formal(node_schema, other) == wanted:
            return value.dtype
    allowed = [wanted] if wanted.startswith("tensor(") else []
    for constraint in node_schema.type_constraints:
        if constraint.type_param_str == wanted:
            allowed.extend(constraint.allowed_type_strs)
    known = [value.dtype for value in inputs if value is not None and value.dtype is not None]
    for dtype in (*known[:1], ir.DataType.INT64):
        if _type_string(dtype) in allowed:
            return dtype
    if len(allowed) == 1 and allowed[0] in _BY_TYPE_STRING:
        return _BY_TYPE_STRING[allowed[0]]
    raise ValueError(f"the type of the literal at input {index} of {node_schema.name} is open; spell it")


def _type_string(dtype: ir.DataType) -> str:
    """The type as operator schemas write it."""
    return f"tensor({dtype.name.lower()})"


_BY_TYPE_STRING = {_type_string(dtype): dtype for dtype in ir.DataType}


def _formal(node_schema: onnx.defs.OpSchema, index: int) -> str:
    """The type string of the formal input ``index``; a variadic one repeats."""
    formal = node_schema.inputs[min(index, len(node_schema.inputs) - 1)]
    return formal.type_str
