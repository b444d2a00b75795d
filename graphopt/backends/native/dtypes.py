"""Which dtypes the kernels take, per plan operator."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx_ir as ir

if TYPE_CHECKING:
    from graphopt.backends.native.plan import Step

_T = ir.DataType
_INTEGERS = (_T.INT8, _T.INT16, _T.INT32, _T.INT64, _T.UINT8, _T.UINT16, _T.UINT32, _T.UINT64)
_FLOATS = (_T.FLOAT, _T.DOUBLE, _T.FLOAT16, _T.BFLOAT16)
_BYTES = frozenset((*_INTEGERS, *_FLOATS, _T.BOOL))
"""What a kernel that only moves elements takes."""
_ARITHMETIC = frozenset((*_INTEGERS, *_FLOATS, _T.BOOL))
_FLOAT = frozenset((_T.FLOAT,))

COMPUTING: dict[str, frozenset[ir.DataType]] = dict.fromkeys(
    (
        "matmul",
        "conv",
        "conv_transpose",
        "pool",
        "layer_norm",
        "group_norm",
        "lrn",
        "softmax",
    ),
    _FLOAT,
)
"""Operators all of whose operands have one of these dtypes; the others are in the functions below."""

_FIRST_ONLY: dict[str, frozenset[ir.DataType]] = {
    "attention": _FLOAT,
    "lstm": _FLOAT,
    "gru": _FLOAT,
    "rnn": _FLOAT,
    "resize": _FLOAT,
    "rotary_embedding": _FLOAT,
}
"""Operators whose first input decides; others are masks, lengths, sizes."""

_CODES: dict[ir.DataType, tuple[int, int]] = {
    **{t: (0, t.bitwidth) for t in _INTEGERS if t.name.startswith("INT")},
    **{t: (1, t.bitwidth) for t in _INTEGERS if t.name.startswith("UINT")},
    _T.FLOAT16: (2, 16),
    _T.FLOAT: (2, 32),
    _T.DOUBLE: (2, 64),
    _T.BFLOAT16: (4, 16),
    _T.BOOL: (6, 8),
}
"""DLPack's code and bits."""


def dlpack_code(dtype: ir.DataType) -> tuple[int, int]:
    """A dtype as plans spell it."""
    return _CODES[dtype]


def name_of(dtype: ir.DataType) -> str:
    """The name a person knows."""
    return {"FLOAT": "float32", "DOUBLE": "float64"}.get(dtype.name, dtype.name.lower())


def why_not(step: Step, *, strict: bool) -> str:
    """Why a step's kernel does not take its dtypes; empty when it does.

    Args:
        step: with its inputs and outputs.
        strict: an unknown dtype is a reason too.
    """
    values = [*step.inputs, *step.outputs]
    for value in values:
        if value is None:
            continue
        if value.dtype is None:
            if strict:
                return f"the dtype of '{value.name}' is not known"
        elif value.dtype not in _BYTES:
            return f"it has no {name_of(value.dtype)}"
    if wanted := COMPUTING.get(step.op):
        checked = values
    elif wanted := _FIRST_ONLY.get(step.op):
        checked = values[:1]
    else:
        return ""
    for value in checked:
        if value is not None and value.dtype is not None and value.dtype not in wanted:
            return (
                f"its {step.op} computes in {' and '.join(map(name_of, wanted))}, not {name_of(value.dtype)}"
            )
    return ""
