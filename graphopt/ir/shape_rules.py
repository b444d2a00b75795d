"""Corrections to what ``onnx-shape-inference`` guesses: it assumes, where the compiler must know.

Found by inferring every case of the ONNX operator suite with all dims symbolic and comparing with the
expected outputs' shapes. A later registration wins, which is how the library means to be extended.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any
from weakref import WeakKeyDictionary

import onnx_ir as ir

from graphopt.ir.shape_windows import quick_conv
from graphopt.ir.walk import subgraphs

# The library has no type information: its context is typed as what it is to mypy.
Context = Any
Infer = Callable[[Context, ir.Node], None]

_BROADCAST = [
    "Add",
    "And",
    "BitShift",
    "BitwiseAnd",
    "BitwiseOr",
    "BitwiseXor",
    "Div",
    "Equal",
    "Expand",
    "Greater",
    "GreaterOrEqual",
    "Less",
    "LessOrEqual",
    "MatMul",
    "MatMulInteger",
    "Max",
    "Mean",
    "Min",
    "Mod",
    "Mul",
    "Or",
    "Pow",
    "Sub",
    "Sum",
    "Where",
    "Xor",
]


@cache
def make_sound() -> None:
    """Register the corrections with the library, once."""
    from onnx_shape_inference import registry

    registry.collect()
    for name in _BROADCAST:
        _correct(registry, name, _broadcast)
    for name, correct in (("If", _if), ("Loop", _loop), ("Slice", _slice), ("Split", _split)):
        _correct(registry, name, correct)
    for name, correct in (
        ("ConstantOfShape", _constant_of_shape),
        ("Squeeze", _squeeze),
        ("Unique", _unique),
    ):
        _correct(registry, name, correct)
    for name in ("Flatten", "Reshape"):
        _correct(registry, name, _settle)
    _correct(registry, "ArrayFeatureExtractor", _extract, domain="ai.onnx.ml")
    _correct(registry, "QGemm", _quantised, domain="com.microsoft")
    for name in ("QLinearAveragePool", "QLinearGlobalAveragePool", "QLinearReduceMean"):
        _correct(registry, name, _pooled, domain="com.microsoft")
    for since in registry.version_boundaries("", "Conv"):
        registry.register("", "Conv", since_version=since)(quick_conv(registry.get("", "Conv", since)))


def _correct(registry: Any, op_type: str, correct: Infer, *, domain: str = "") -> None:
    """Let ``correct`` run after each version of the library's own function."""
    for since in registry.version_boundaries(domain, op_type):
        original: Infer = registry.get(domain, op_type, since)

        def infer(ctx: Context, node: ir.Node, original: Infer = original) -> None:
            original(ctx, node)
            correct(ctx, node)

        registry.register(domain, op_type, since_version=since)(infer)


def _broadcast(ctx: Context, node: ir.Node) -> None:
    """Two dims of different names broadcast to neither of them: one may be 1. The library takes the first."""
    result = node.outputs[0]
    if result.shape is None:
        return
    matmul = node.op_type.startswith("MatMul")
    shapes = [v.shape for v in node.inputs[: 2 if matmul else None] if v is not None]
    if node.op_type == "Expand":
        target = ctx.get_symbolic_value(node.inputs[1])
        shapes = [shapes[0], None if target is None else ir.Shape(target)]
    if any(shape is None for shape in shapes):
        result.shape = None
        return
    operands = [list(shape) for shape in shapes if shape is not None]
    kept: list[int | ir.SymbolicDim] = []
    if matmul:
        if any(len(dims) < 2 for dims in operands):
            return
        kept = list(result.shape)[-2:]
        operands = [dims[:-2] for dims in operands]
    rank = max(map(len, operands))
    aligned = zip(*([*[1] * (rank - len(dims)), *dims] for dims in operands), strict=True)
    result.shape = ir.Shape([*(_common(ctx, dims) for dims in aligned), *kept])


def _common(ctx: Context, dims: Sequence[int | ir.SymbolicDim]) -> int | ir.SymbolicDim:
    wide = [dim for dim in dims if dim != 1]
    numbers = [dim for dim in wide if isinstance(dim, int)]
    if numbers:
        return numbers[0]
    joint = _BROADCASTS.setdefault(ctx, _Joint())
    names: set[str] = set()
    for dim in wide:
        names |= joint.parts.get(str(dim), {str(dim)})
    names -= {name for name in names if (capped := _CAPPED.fullmatch(name)) and capped["dim"] in names}
    if len(names) > 1:
        return joint.size(frozenset(names), ctx)
    (name,) = names or {""}
    return next((dim for dim in wide if str(dim) == name), wide[0] if wide else 1)


# A dim cut to at most so many: where it broadcasts with the dim itself, both are the dim, or both 1.
_CAPPED = re.compile(r"[Mm]in\((?:\d+, *)?(?P<dim>\w+)(?:, *\d+)?\)")


class _Joint:
    """Names of what dims of different names broadcast to: one name wherever the same dims meet.

    Attributes:
        parts: for each name that was given, the names of the dims behind it.
    """

    def __init__(self) -> None:
        self.parts: dict[str, frozenset[str]] = {}
        self._names: dict[frozenset[str], str] = {}

    def size(self, parts: frozenset[str], ctx: Context) -> ir.SymbolicDim:
        if parts not in self._names:
            fresh: ir.SymbolicDim = ctx.new_symbolic_dim()
            self._names[parts] = str(fresh)
            self.parts[str(fresh)] = parts
        return ir.SymbolicDim(self._names[parts])


# One per run of inference.
_BROADCASTS: WeakKeyDictionary[Context, _Joint] = WeakKeyDictionary()


def _slice(ctx: Context, node: ir.Node) -> None:
    """``x[:100]`` of a dynamic dim has at most 100 elements; the library says 100."""
    data, result = node.inputs[0], node.outputs[0]
    if data is None or data.shape is None or result.shape is None or len(data.shape) != len(result.shape):
        return
    dims = [
        ctx.new_symbolic_dim() if isinstance(after, int) and not isinstance(before, int) else after
        for before, after in zip(data.shape, result.shape, strict=True)
    ]
    result.shape = ir.Shape(dims)


def _settle(_ctx: Context, node: ir.Node) -> None:
    """A quotient in which every name cancels is a number; the library leaves a name that reads like one."""
    result = node.outputs[0]
    if result.shape is None:
        return
    dims = [int(text) if (text := str(dim)).isdecimal() else dim for dim in result.shape]
    result.shape = ir.Shape(dims)


def _quantised(_ctx: Context, node: ir.Node) -> None:
    """A quantised result is of its zero point's type; the library says that of its scale."""
    zero = node.inputs[8] if len(node.inputs) > 8 else None
    if zero is not None and zero.dtype is not None:
        node.outputs[0].type = ir.TensorType(zero.dtype)


def _pooled(ctx: Context, node: ir.Node) -> None:
    """Pooling makes an image smaller; the library takes it for a step on each element."""
    data, result = node.inputs[0], node.outputs[0]
    if data is None or data.shape is None or len(data.shape) < 3 or node.op_type == "QLinearReduceMean":
        result.shape = None
        return
    dims, last = list(data.shape), node.attributes.get_int("channels_last", 0)
    image = range(1, len(dims) - 1) if last else range(2, len(dims))
    is_global = node.op_type == "QLinearGlobalAveragePool"
    for place, axis in enumerate(image):
        dims[axis] = 1 if is_global else _pooled_size(ctx, node, dims[axis], place)
    result.shape = ir.Shape(dims)


def _pooled_size(ctx: Context, node: ir.Node, size: int | ir.SymbolicDim, place: int) -> int | ir.SymbolicDim:
    """What windows of a fixed size make of one dim of an image."""
    window = node.attributes.get_ints("kernel_shape", ())
    count = len(window or ())
    padding = node.attributes.get_string("auto_pad", "NOTSET")
    rounds = padding not in ("NOTSET", "VALID") or node.attributes.get_int("ceil_mode", 0) == 1
    if not isinstance(size, int) or place >= count or rounds:
        unknown: ir.SymbolicDim = ctx.new_symbolic_dim()
        return unknown
    pads = (
        list(node.attributes.get_ints("pads", ()) or [0] * 2 * count)
        if padding == "NOTSET"
        else [0] * 2 * count
    )
    step = list(node.attributes.get_ints("strides", ()) or [1] * count)[place]
    room = size + pads[place] + pads[place + count] - list(window or ())[place]
    return room // step + 1


def _split(ctx: Context, node: ir.Node) -> None:
    """Sizes that are computed at run time are not equal parts."""
    sizes = node.inputs[1] if len(node.inputs) > 1 else None
    if sizes is None or ir.convenience.get_const_tensor(sizes) is not None:
        return
    axis = node.attributes["axis"].as_int() if "axis" in node.attributes else 0
    for value in node.outputs:
        if value.shape is not None:
            dims = list(value.shape)
            dims[axis] = ctx.new_symbolic_dim()
            value.shape = ir.Shape(dims)


def _constant_of_shape(ctx: Context, node: ir.Node) -> None:
    """A shape that is computed from dims is a shape too; the library only reads constants."""
    result, dims = node.outputs[0], ctx.get_symbolic_value(node.inputs[0])
    if result.shape is None and dims is not None and all(not isinstance(d, int) or d >= 0 for d in dims):
        result.shape = ir.Shape(dims)


def _squeeze(_ctx: Context, node: ir.Node) -> None:
    """Axes computed at run time, or "every 1" when some dims are unknown: the rank is unknown."""
    data = node.inputs[0]
    axes = node.inputs[1] if len(node.inputs) > 1 else None
    if axes is not None:
        unknown = ir.convenience.get_const_tensor(axes) is None
    else:
        unknown = "axes" not in node.attributes and (
            data is None or data.shape is None or data.shape.is_dynamic()
        )
    if unknown:
        node.outputs[0].shape = None


def _unique(ctx: Context, node: ir.Node) -> None:
    """With an axis the result has the input's rank, and only that axis shrinks."""
    data, result = node.inputs[0], node.outputs[0]
    if "axis" not in node.attributes or data is None:
        return
    if data.shape is None:
        result.shape = None
        return
    dims = list(data.shape)
    dims[node.attributes["axis"].as_int()] = ctx.new_symbolic_dim()
    result.shape = ir.Shape(dims)


def _extract(ctx: Context, node: ir.Node) -> None:
    """As many columns as there are indices, whatever their shape; a vector counts as one row."""
    data, indices = node.inputs[0], node.inputs[1]
    node.outputs[0].shape = None
    if data is None or data.shape is None or indices is None or indices.shape is None:
        return
    wide = [dim for dim in indices.shape if dim != 1]
    numbers = [dim for dim in wide if isinstance(dim, int)]
    known = len(numbers) == len(wide)
    count = math.prod(numbers) if known else wide[0] if len(wide) == 1 else ctx.new_symbolic_dim()
    rows = list(data.shape)[:-1] if len(data.shape) > 1 else [1]
    node.outputs[0].shape = ir.Shape([*rows, count])


def _if(_ctx: Context, node: ir.Node) -> None:
    """One branch says nothing about the other."""
    for branch in subgraphs(node):
        for inner, outer in zip(branch.outputs, node.outputs, strict=False):
            if inner.shape is None:
                outer.shape = None


def _loop(_ctx: Context, node: ir.Node) -> None:
    """What a loop carries may change its shape from round to round."""
    for value in node.outputs:
        value.shape = None
