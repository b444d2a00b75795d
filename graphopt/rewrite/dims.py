"""Shapes and element types as guards: names that must agree wherever they appear.

``shapes={"q": ["B", "H", "S", "D"], "k": ["B", "H", "T", "D"]}`` asks that both have rank 4 and share
B, H and D. An integer asks for that size, ``None`` for nothing, a leading ``"..."`` for any number of
dims. Dims without a name are unknown and never equal one another.
``types={"x": "T", "c": "T"}`` asks for one element type; ``"float"``, ``"integer"``, ``"number"`` ask for
a family and any other word for that type.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import onnx_ir as ir

from graphopt.rewrite.match import Binding, Dim

DimSpec = str | int | None
Shapes = Mapping[str, Sequence[DimSpec]]
Types = Mapping[str, str]

FLOATS = frozenset({ir.DataType.FLOAT16, ir.DataType.BFLOAT16, ir.DataType.FLOAT, ir.DataType.DOUBLE})
INTEGERS = frozenset(
    ir.DataType[name] for name in ("INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64")
)
_FAMILIES = {"float": FLOATS, "integer": INTEGERS, "number": FLOATS | INTEGERS}


def is_unknown(dim: Dim) -> bool:
    """Whether nothing is known about ``dim``, not even a name that could be compared."""
    if isinstance(dim, int):
        return dim < 0
    return dim.value is None or dim.value in ("", "?", "-1") or dim.value.startswith("unk__")


def same_dim(a: Dim, b: Dim) -> bool:
    """Whether two dims are certainly equal."""
    return not is_unknown(a) and not is_unknown(b) and a == b


def same_shape(a: Sequence[Dim] | None, b: Sequence[Dim] | None) -> bool:
    """Whether two shapes are certainly equal."""
    if a is None or b is None or len(a) != len(b):
        return False
    return all(same_dim(x, y) for x, y in zip(a, b, strict=True))


def unify_shapes(shapes: Shapes, values: Mapping[str, Binding]) -> tuple[dict[str, Dim], str | None]:
    """What the dim names stand for, and why they do not fit (None when they do).

    Names a spelling does not bind, and optional inputs that are missing, are not checked.
    """
    dims: dict[str, Dim] = {}
    for name, wanted in shapes.items():
        value = values.get(name)
        if not isinstance(value, ir.Value):
            continue
        if value.shape is None:
            return dims, f"the rank of {value.name!r} is unknown"
        actual = list(value.shape)
        spec = list(wanted)
        if spec and spec[0] == "...":
            spec = spec[1:]
            actual = actual[len(actual) - len(spec) :] if len(actual) >= len(spec) else actual
        if len(actual) != len(spec):
            return dims, f"{value.name!r} has rank {len(value.shape)}, not {len(spec)}"
        for axis, (want, have) in enumerate(zip(spec, actual, strict=True)):
            reason = _unify(dims, want, have)
            if reason is not None:
                return dims, f"dim {axis} of {value.name!r}: {reason}"
    return dims, None


def _unify(dims: dict[str, Dim], want: DimSpec, have: Dim) -> str | None:
    if want is None:
        return None
    if isinstance(want, int):
        return None if have == want else f"{have} is not {want}"
    if want not in dims:
        dims[want] = have
        return None
    return None if same_dim(dims[want], have) else f"{have} is not known to equal {want} = {dims[want]}"


def unify_types(types: Types, values: Mapping[str, Binding]) -> str | None:
    """Why the element types do not fit, or None when they do."""
    bound: dict[str, ir.DataType] = {}
    for name, wanted in types.items():
        value = values.get(name)
        if not isinstance(value, ir.Value):
            continue
        if value.dtype is None:
            return f"the element type of {value.name!r} is unknown"
        if wanted in _FAMILIES:
            if value.dtype not in _FAMILIES[wanted]:
                return f"{value.name!r} is {value.dtype.name}, not {wanted}"
        elif wanted.upper() in ir.DataType.__members__:
            if value.dtype != ir.DataType[wanted.upper()]:
                return f"{value.name!r} is {value.dtype.name}, not {wanted}"
        elif bound.setdefault(wanted, value.dtype) != value.dtype:
            return f"{value.name!r} is {value.dtype.name}, not {bound[wanted].name}"
    return None
