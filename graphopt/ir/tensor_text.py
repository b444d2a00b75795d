"""Words for types, shapes, names and tensors: short, stable, and safe to print on a terminal."""

from __future__ import annotations

import json
import re

import numpy as np
import onnx_ir as ir

TINY = 8
"""A tensor of at most this many elements is printed with its values."""

STATISTICS_LIMIT = 64 << 20
"""Bytes above which a tensor is printed without statistics, so that printing never pages in a large model."""

_PLAIN = re.compile(r"[\w.:/$+\-@#]+", re.ASCII)


def word(name: str) -> str:
    """A name as it is if it reads as one word, else quoted with every odd character escaped."""
    return name if _PLAIN.fullmatch(name) else json.dumps(name)


def dtype_text(dtype: ir.DataType | None) -> str:
    """The element type in numpy's spelling; ``?`` when unknown."""
    if dtype is None:
        return "?"
    return {ir.DataType.FLOAT: "float32", ir.DataType.DOUBLE: "float64"}.get(dtype, dtype.name.lower())


def shape_text(shape: ir.ShapeProtocol | None) -> str:
    """``[N,3,224,224]``; an unnamed dimension is ``?``, a shape of unknown rank ``[*]``."""
    if shape is None:
        return "[*]"
    return "[" + ",".join(_dim(d) for d in shape) + "]"


def _dim(dim: object) -> str:
    if isinstance(dim, int):
        return str(dim)
    name = getattr(dim, "value", None)
    return "?" if name is None else re.sub(r"[^\w.:+*/() \-]", "?", str(name))


def type_text(value: ir.Value) -> str:
    """Type and shape of a value: ``float32[N,3]``, ``sequence(float32[*])``, ``optional(…)``."""
    text = dtype_text(value.dtype) + shape_text(value.shape)
    kind: object = value.type
    wrappers = []
    while isinstance(kind, ir.SequenceType | ir.OptionalType):
        wrappers.append("sequence" if isinstance(kind, ir.SequenceType) else "optional")
        kind = kind.elem_type
    if isinstance(kind, ir.SparseTensorType):
        wrappers.append("sparse")
    for wrapper in reversed(wrappers):
        text = f"{wrapper}({text})"
    return text


def tensor_text(tensor: ir.TensorProtocol, statistics: bool = True) -> str:
    """Values of a tiny tensor, else mean, spread and range of a larger one, in braces.

    Args:
        tensor: any tensor; its data is read only when it is tiny or ``statistics`` is set.
        statistics: whether larger tensors are read for their statistics.
    """
    if tensor.size == 0:
        return "{}"
    if tensor.size <= TINY:
        return "{" + ", ".join(_element(x) for x in tensor.numpy().reshape(-1).tolist()) + "}"
    if not statistics or tensor.dtype.is_string() or tensor.nbytes > STATISTICS_LIMIT:
        return "{…}"
    return "{" + _statistics(tensor.numpy()) + "}"


def _element(value: object) -> str:
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if isinstance(value, str):
        return json.dumps(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _statistics(array: np.ndarray) -> str:
    if array.dtype == np.bool_:
        return f"{int(array.sum())} of {array.size} true"
    if np.iscomplexobj(array):
        return f"|x| ≤ {float(np.abs(array).max()):.4g}"
    if array.dtype not in (np.float32, np.float64):
        array = array.astype(np.float64)
    finite = array[np.isfinite(array)]
    odd = array.size - finite.size
    if finite.size == 0:
        return f"{odd} not finite"
    mean, spread = float(finite.mean(dtype=np.float64)), float(finite.std(dtype=np.float64))
    text = f"mean {mean:.4g}, std {spread:.4g}, in [{float(finite.min()):.4g}, {float(finite.max()):.4g}]"
    return text + (f", {odd} not finite" if odd else "")
