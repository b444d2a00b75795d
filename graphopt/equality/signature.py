"""What a model takes and gives: names, dtypes and dims as a person declared them."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

Dim = int | str | None
"""A size, a name that equal dims share, or None for unknown."""

_MEANINGLESS = re.compile(r"\?|-\d+|unk_+\d+|None|", re.IGNORECASE)
"""Dim names that exporters write for "unknown"; two of them are never the same dim."""


@dataclass(frozen=True)
class Port:
    """One input or output.

    Attributes:
        name: of the value.
        dtype: ONNX element type, or None when undeclared or no tensor.
        dims: None when the rank is unknown.
        kind: ``tensor``, ``sequence``, ``optional`` or ``unknown``.
    """

    name: str
    dtype: ir.DataType | None
    dims: tuple[Dim, ...] | None
    kind: str = "tensor"

    def numpy_dtype(self) -> np.dtype[np.generic]:
        """The numpy dtype of a tensor; strings are object arrays.

        Raises:
            TypeError: the dtype is undeclared.
        """
        if self.dtype is None:
            raise TypeError(f"'{self.name}' declares no dtype")
        return np.dtype(object) if self.dtype == ir.DataType.STRING else np.dtype(self.dtype.numpy())

    def __str__(self) -> str:
        dims = "?" if self.dims is None else ",".join("?" if d is None else str(d) for d in self.dims)
        return f"{self.name}: {'?' if self.dtype is None else self.dtype.name.lower()}[{dims}]"


def inputs(model: ir.Model) -> tuple[Port, ...]:
    """The inputs a caller must feed: those without a default value."""
    return tuple(
        port(value)
        for value in model.graph.inputs
        if value.const_value is None and value.name not in model.graph.initializers
    )


def outputs(model: ir.Model) -> tuple[Port, ...]:
    """The outputs, in order."""
    return tuple(port(value) for value in model.graph.outputs)


def port(value: ir.Value) -> Port:
    """The declaration of one value."""
    kind = _kind(value.type)
    dims = None if value.shape is None else tuple(_dim(d) for d in value.shape)
    if dims is not None and kind != "tensor":
        dims = None
    return Port(value.name or "", value.dtype if kind == "tensor" else None, dims, kind)


def _kind(type_: ir.TypeProtocol | None) -> str:
    if type_ is None:
        return "unknown"
    if isinstance(type_, ir.TensorType):
        return "tensor"
    return "sequence" if isinstance(type_, ir.SequenceType) else "optional"


def _dim(dim: int | ir.SymbolicDim) -> Dim:
    if isinstance(dim, int):
        return dim if dim >= 0 else None
    name = str(dim.value) if dim.value is not None else ""
    return None if _MEANINGLESS.fullmatch(name) else name


def scalar_type(dtype: npt.DTypeLike) -> str:
    """The name a person would type for a numpy dtype."""
    kind = np.dtype(dtype)
    return "string" if kind.kind in "OSU" else kind.name
