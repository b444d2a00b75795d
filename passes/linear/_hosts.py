"""Conv, ConvTranspose, Gemm and MatMul as ``y = linear(x, weight) + bias``: what their constants absorb.

A factor or a shift is a float64 vector of length 1 or with one number per channel.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir

from graphopt.passes.linear._factors import Vector, along, fits, is_only_here, keeps_precision, read
from graphopt.rewrite.constants import constant_tensor
from graphopt.rewrite.dims import FLOATS
from graphopt.rewrite.match import Match

OPS = ("Conv", "ConvTranspose", "Gemm", "MatMul")
CONVOLUTION = "Conv <**attrs> (x, w, b?) | ConvTranspose <**attrs> (x, w, b?)"
GEMM = "Gemm <**attrs> (x, w, b?)"

BIASED: tuple[tuple[str, str, tuple[ir.DataType, ...]], ...] = (
    ("convolution", CONVOLUTION, (ir.DataType.FLOAT,)),
    ("gemm", GEMM, (ir.DataType.FLOAT16, ir.DataType.FLOAT, ir.DataType.DOUBLE)),
)
"""The operators with a bias of their own: a name, one step of a rule, and the types CPUs compute it in."""


@dataclass(frozen=True)
class Host:
    """A linear node whose weight is a constant.

    Attributes:
        node: the node.
        weight: its second input.
        bias: its third input, where it has one.
        attributes: those that say how the weight lies, defaults filled in.
    """

    node: ir.Node
    weight: ir.Value
    bias: ir.Value | None
    attributes: Mapping[str, float] = field(default_factory=dict)

    @property
    def op(self) -> str:
        """The operator."""
        return self.node.op_type

    @property
    def dtype(self) -> ir.DataType:
        """The element type of the weight."""
        assert self.weight.dtype is not None
        return self.weight.dtype

    @property
    def dims(self) -> tuple[int, ...]:
        """The shape of the weight."""
        tensor = constant_tensor(self.weight)
        assert tensor is not None
        return tuple(tensor.shape.numpy())

    @property
    def group(self) -> int:
        """The number of groups of a convolution."""
        return int(self.attributes["group"])

    @property
    def rank(self) -> int | None:
        """The rank of the result; None for a product whose left operand has an unknown one."""
        if self.op != "MatMul":
            return len(self.dims)
        shape = self.node.inputs[0].shape if self.node.inputs[0] is not None else None
        return None if shape is None else max(len(shape), len(self.dims))

    @property
    def axis(self) -> int:
        """The axis of the output channels in the result, counted from the end."""
        return 1 - len(self.dims) if self.op in ("Conv", "ConvTranspose") else -1

    @property
    def outputs(self) -> int:
        """The number of output channels."""
        if self.op == "Conv":
            return self.dims[0]
        if self.op == "ConvTranspose":
            return self.dims[1] * self.group
        return self.dims[-2] if self._is_transposed else self.dims[-1]

    @property
    def inputs(self) -> int:
        """The number of input channels."""
        if self.op == "Conv":
            return self.dims[1] * self.group
        if self.op == "ConvTranspose":
            return self.dims[0]
        return self.dims[-1] if self._is_transposed else self.dims[-2]

    @property
    def _is_transposed(self) -> bool:
        return bool(self.attributes.get("transB", 0))

    def factor_of(self, value: ir.Value) -> Vector | None:
        """``value`` as a factor or shift of the output channels, or None."""
        found = along(value, self.axis, self.rank)
        return found if found is not None and found.size in (1, self.outputs) else None

    def scaled(self, factor: Vector) -> Vector:
        """The weight with its output channels multiplied by ``factor``."""
        array = read(self.weight)
        with np.errstate(all="ignore"):
            if factor.size == 1:
                return array * factor.item()
            if self.op == "Conv":
                return array * factor.reshape(-1, *(1,) * (array.ndim - 1))
            if self.op == "ConvTranspose":
                groups = array.reshape(self.group, -1, *array.shape[1:])
                return (groups * factor.reshape(self.group, 1, -1, *(1,) * (array.ndim - 2))).reshape(
                    array.shape
                )
            return array * (factor[:, None] if self._is_transposed else factor)

    def scaled_inputs(self, factor: Vector) -> Vector:
        """The weight with its input channels multiplied by ``factor``."""
        array = read(self.weight)
        with np.errstate(all="ignore"):
            if factor.size == 1:
                return array * factor.item()
            if self.op == "Conv":
                groups = array.reshape(self.group, -1, *array.shape[1:])
                return (groups * factor.reshape(self.group, 1, -1, *(1,) * (array.ndim - 2))).reshape(
                    array.shape
                )
            if self.op == "ConvTranspose":
                return array * factor.reshape(-1, *(1,) * (array.ndim - 1))
            return array * (factor if self._is_transposed else factor[:, None])

    @property
    def summed(self) -> tuple[int, ...]:
        """The axes of the weight that one output channel sums over."""
        if self.op == "Conv":
            return tuple(range(1, len(self.dims)))
        if self.op == "ConvTranspose":
            return (0, *range(2, len(self.dims)))
        return (len(self.dims) - (1 if self._is_transposed else 2),)

    def represents(self, array: Vector) -> bool:
        """Whether ``array`` can be this node's weight without losing what the original had."""
        return fits(array, self.dtype) and keeps_precision(read(self.weight), array, self.dtype, self.summed)

    def bias_vector(self) -> Vector | None:
        """What is added to the output channels (zero without a bias); None when it is no such constant."""
        if self.bias is None:
            return np.zeros(1)
        tensor = constant_tensor(self.bias)
        if tensor is None or tensor.dtype not in FLOATS:
            return None
        if self.op != "Gemm":
            return read(self.bias).reshape(-1)
        found = along(self.bias, -1, 2)
        return None if found is None else found * self.attributes["beta"]


def host_of(match: Match) -> Host | None:
    """The linear node a rule matched."""
    node = next(node for node in match.nodes if node.op_type in OPS and node.domain == "")
    return host(node)


def host(node: ir.Node) -> Host | None:
    """``node`` as a host when its weight is a floating-point constant, else None."""
    weight = node.inputs[1] if len(node.inputs) > 1 else None
    tensor = constant_tensor(weight)
    if weight is None or tensor is None or tensor.dtype not in FLOATS or len(tensor.shape) < 2:
        return None
    if any(attribute.is_ref() for attribute in node.attributes.values()):
        return None
    bias = node.inputs[2] if len(node.inputs) > 2 else None
    return Host(node, weight, bias, _attributes(node))


def _attributes(node: ir.Node) -> dict[str, float]:
    if node.op_type in ("Conv", "ConvTranspose"):
        return {"group": node.attributes.get_int("group", 1)}
    if node.op_type == "Gemm":
        return {
            "transB": node.attributes.get_int("transB", 0),
            "beta": node.attributes.get_float("beta", 1.0),
            "alpha": node.attributes.get_float("alpha", 1.0),
        }
    return {}


def refusal(found: Host | None) -> str | None:
    """Why the constants of ``found`` cannot be written anew, or None; silent where they are no constants."""
    if found is None:
        return ""
    if not is_only_here(found.weight):
        return f"the weight {found.weight.name!r} is shared"
    if found.bias is not None and found.bias_vector() is None:
        return "its bias is computed or varies along another axis"
    if found.op == "Gemm" and found.attributes["beta"] == 0:
        return "its bias is multiplied by zero"
    return None
