"""FoldAttentionScale: a factor on queries or keys is the scale of their attention."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from graphopt.ir import walk
from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.constants import constant_tensor

_LINEAR = frozenset({"Transpose", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Expand", "RotaryEmbedding"})
"""Operators for whose first input it makes no difference whether a factor comes before or after."""

_QUERIES, _KEYS, _PAST_KEYS = 0, 1, 4


@dataclass(frozen=True)
class _Factor:
    """A Mul or Div by a constant: the node, what it scales, by what, and who reads the product where."""

    node: ir.Node
    operand: ir.Value
    number: float
    reader: ir.Node
    position: int


@dataclass(frozen=True)
class FoldAttentionScale(Pass):
    """Take a constant factor on the way to queries or keys into the scale of their attention.

    Before: ``s = Mul(x, 0.35); q = Transpose(s); y = Attention<scale=0.35>(q, k, v)``.
    After:  ``q = Transpose(x); y = Attention<scale=0.125>(q, k, v)``.
    Needs:  one positive number as the factor; the size of a head where the scale is left out.
    Keeps:  the steps between the factor and the attention.
    Skips:  factors on what something else reads too, and on keys that are added to earlier ones or returned.
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Look at both operands of every attention."""
        changed = False
        for node in list(walk.nodes(model)):
            if node.op_type == "Attention" and node.domain == "":
                changed |= self._fold(node, _QUERIES, ctx)
                changed |= self._fold(node, _KEYS, ctx)
        return changed

    def _fold(self, attention: ir.Node, index: int, ctx: PassContext) -> bool:
        """Fold every factor on the way to one operand."""
        changed = False
        while (factor := _next_factor(attention, index)) is not None:
            scale = _scale(attention)
            if scale is None:
                ctx.missed(self.name(), factor.node, "no scale is named and the size of a head is unknown")
                break
            if index == _KEYS and _keeps_keys(attention):
                ctx.missed(self.name(), factor.node, "the attention keeps its keys as they are")
                break
            ctx.applied(self.name(), factor.node, f"{factor.node.op_type} became a part of the scale")
            factor.reader.replace_input_with(factor.position, factor.operand)
            if factor.node.graph is not None:
                factor.node.graph.remove(factor.node, safe=True)
            product = float(np.float32(scale * factor.number))
            attention.attributes["scale"] = ir.AttrFloat32("scale", product)
            changed = True
        return changed


def _next_factor(attention: ir.Node, index: int) -> _Factor | None:
    """The factor nearest to the attention on the way to its operand ``index``."""
    reader, position = attention, index
    while True:
        value = reader.inputs[position]
        node = None if value is None else value.producer()
        if value is None or node is None or node.graph is not attention.graph:
            return None
        if value.is_graph_output() or len(value.uses()) != 1 or node.domain != "":
            return None
        if node.op_type in ("Mul", "Div"):
            return _factor(node, reader, position)
        if node.op_type not in _LINEAR:
            return None
        reader, position = node, 0


def _factor(node: ir.Node, reader: ir.Node, position: int) -> _Factor | None:
    """``node`` as a factor, if it multiplies or divides by one positive number and adds no dim."""
    constants = [constant_tensor(value) for value in node.inputs]
    at = 1 if constants[1] is not None else 0
    tensor, operand = constants[at], node.inputs[1 - at]
    if tensor is None or operand is None or tensor.size != 1 or (node.op_type == "Div" and at == 0):
        return None
    if operand.shape is None or len(tensor.shape) > len(operand.shape) or constants[1 - at] is not None:
        return None
    number = float(np.asarray(tensor.numpy()).astype(np.float64).ravel()[0])
    if number <= 0 or not math.isfinite(number):
        return None
    return _Factor(node, operand, 1 / number if node.op_type == "Div" else number, reader, position)


def _scale(attention: ir.Node) -> float | None:
    """The scale, 1/√(size of a head) where it is left out; None when that is unknown."""
    named = attention.attributes.get_float("scale", None)
    if named is not None:
        return named
    queries = attention.inputs[_QUERIES]
    size = queries.shape[-1] if queries is not None and queries.shape is not None else None
    count = attention.attributes.get_int("q_num_heads", 1) if _rank(queries) == 3 else 1
    return 1 / math.sqrt(size // count) if isinstance(size, int) and size else None


def _rank(value: ir.Value | None) -> int:
    return 0 if value is None or value.shape is None else len(value.shape)


def _keeps_keys(attention: ir.Node) -> bool:
    """Whether keys come from before or are returned for later."""
    returned = any(value.uses() or value.is_graph_output() for value in attention.outputs[1:])
    past = attention.inputs[_PAST_KEYS] if len(attention.inputs) > _PAST_KEYS else None
    return returned or past is not None
