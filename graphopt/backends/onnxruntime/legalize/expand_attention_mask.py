"""ExpandAttentionMask: ONNX Runtime wants a mask with a row for each query."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import onnx_ir as ir

from graphopt.ir import walk
from graphopt.ir.dims import same_dim
from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.constants import constant_tensor
from graphopt.rewrite.infer import infer_outputs
from graphopt.rewrite.scope import Scope

_MASK = 3
_POSITIONWISE = frozenset({"Add", "Mul", "Sub", "Div", "MatMul", "Cast", "Split"})
"""Operators whose first computed operand may be followed to where two operands of attention come from."""

_STEPS = 8
"""How far back two operands are followed."""

_OPSET = 23
"""The oldest opset with Attention: what is put before it has meant the same since."""


@dataclass(frozen=True)
class ExpandAttentionMask(Pass):
    """Repeat the mask of an attention for every query and key.

    ONNX lets a mask broadcast; ONNX Runtime 1.31 asks for the last two dims in full. Its operator is
    then at least as fast as scores, softmax and product one by one, and as its own MultiHeadAttention.

    Before: ``y = Attention(q, k, v, mask)`` with a mask of [B, 1, 1, T].
    After:  ``m = Expand(mask, [1, 1, S, 1]); y = Attention(q, k, v, m)``.
    Needs:  nothing.
    Keeps:  one expanded mask for all layers that share one, where their lengths are known to agree.
    Skips:  masks that have a row for each query already.
    """

    backend: ClassVar[str] = "onnxruntime"

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Look at every attention."""
        found = [node for node in walk.nodes(model) if broadcasts(node)]
        if not found:
            return False
        scope = Scope(model)
        scope.read()
        known: dict[tuple[object, ...], ir.Value] = {}
        for node in found:
            _Expansion(node, scope, known).run()
            ctx.applied(self.name(), node, "its mask was repeated for every query")
        return True


def broadcasts(node: ir.Node) -> bool:
    """Whether ``node`` is an attention whose mask lacks a row for each query or a column for each key."""
    if node.op_type != "Attention" or node.domain != "" or len(node.inputs) <= _MASK:
        return False
    mask, query = node.inputs[_MASK], node.inputs[0]
    if mask is None or query is None:
        return False
    if query.shape is None:
        return mask.shape is not None and (len(mask.shape) < 2 or mask.shape[-2] == 1)
    if mask.shape is None or len(mask.shape) < 2:
        return True
    return not same_dim(mask.shape[-2], query.shape[-2]) or _lacks_columns(mask)


def _lacks_columns(mask: ir.Value) -> bool:
    return mask.shape is not None and (len(mask.shape) == 0 or mask.shape[-1] == 1)


@dataclass
class _Expansion:
    """The mask of one attention in full.

    Attributes:
        attention: the operator.
        scope: names in use.
        known: the masks expanded so far, by what they were expanded for.
    """

    attention: ir.Node
    scope: Scope
    known: dict[tuple[object, ...], ir.Value]
    nodes: list[ir.Node] = field(default_factory=list)

    def run(self) -> None:
        """Put the expansion before the attention, or take one made before."""
        key = self._key()
        if key not in self.known:
            self.known[key] = self._expand()
            graph = self.attention.graph
            assert graph is not None, "it was found in a graph"
            graph.insert_before(self.attention, self.nodes)
        self.attention.replace_input_with(_MASK, self.known[key])

    @property
    def mask(self) -> ir.Value:
        """The mask as it is."""
        found = self.attention.inputs[_MASK]
        assert found is not None, "only attentions with a mask are expanded"
        return found

    def _operand(self, index: int) -> ir.Value:
        found = self.attention.inputs[index]
        assert found is not None, "queries and keys are never left out"
        return found

    def _key(self) -> tuple[object, ...]:
        """Two expansions with one key are the same: the mask, and where the number of queries is from."""
        query = self._operand(0)
        rows: object = query.shape[-2] if query.shape is not None else query
        if isinstance(rows, ir.SymbolicDim) and rows.value is None:
            rows = query
        if self._has_row_per_key():
            rows = "a row for each key"
        columns = self._operand(1) if _lacks_columns(self.mask) else None
        return (self.attention.graph, self.mask, rows, columns)

    def _has_row_per_key(self) -> bool:
        """Whether there are as many queries as keys: the mask itself then tells how many rows it needs."""
        if _lacks_columns(self.mask) or not self.mask.shape or len(self.attention.inputs) > _MASK + 1:
            return False
        query, key = self._operand(0), self._operand(1)
        if query.shape is not None and key.shape is not None and same_dim(query.shape[-2], key.shape[-2]):
            return True
        return bool(set(_sources(query)) & set(_sources(key)))

    def _expand(self) -> ir.Value:
        """``Expand(mask, [1, 1, queries, keys])``; 1 where the mask has the keys already."""
        query, key, mask = self._operand(0), self._operand(1), self.mask
        from_mask = self._has_row_per_key()
        rows = self._size(mask, -1) if from_mask else self._size(query, -2)
        columns = self._size(key, -2) if _lacks_columns(mask) else 1
        if isinstance(rows, int) and isinstance(columns, int):
            target = self._constant([1, 1, rows, columns])
        else:
            sizes = [self._constant([size]) if isinstance(size, int) else size for size in (rows, columns)]
            target = self._node("Concat", [self._constant([1, 1]), *sizes], [ir.AttrInt64("axis", 0)])
        expanded = self._node("Expand", [mask, target])
        expanded.shape = self._shape(query)
        return expanded

    def _shape(self, query: ir.Value) -> ir.Shape | None:
        """The shape of the expanded mask; its rows are the queries."""
        if self.mask.shape is None or query.shape is None:
            return None
        dims = [1] * (4 - len(self.mask.shape)) + list(self.mask.shape)
        dims[2] = query.shape[-2]
        key = self._operand(1)
        if dims[3] == 1 and key.shape is not None:
            dims[3] = key.shape[-2]
        return ir.Shape(dims)

    def _size(self, value: ir.Value, axis: int) -> int | ir.Value:
        """A dim as a number, or as a value of one element."""
        dim = value.shape[axis] if value.shape is not None else None
        if isinstance(dim, int):
            return dim
        ends = [ir.AttrInt64("start", axis), *([ir.AttrInt64("end", axis + 1)] if axis + 1 else [])]
        return self._node("Shape", [value], ends)

    def _node(self, op_type: str, inputs: list[ir.Value], attributes: Iterable[ir.Attr] = ()) -> ir.Value:
        name = self.scope.unique(f"{self.mask.name}.{op_type}")
        output = ir.Value(name=name)
        node = ir.Node("", op_type, inputs, attributes, outputs=[output], name=self.scope.unique(name))
        infer_outputs(node, _OPSET)
        self.nodes.append(node)
        return output

    def _constant(self, numbers: list[int]) -> ir.Value:
        output = ir.Value(name=self.scope.unique(f"{self.mask.name}.sizes"))
        tensor = ir.tensor(np.asarray(numbers, np.int64))
        output.shape, output.type = ir.Shape([len(numbers)]), ir.TensorType(ir.DataType.INT64)
        attribute = ir.AttrTensor("value", tensor)
        self.nodes.append(ir.Node("", "Constant", [], [attribute], outputs=[output]))
        return output


def _sources(value: ir.Value) -> list[ir.Value]:
    """``value`` and what it was computed from, position by position."""
    found = [value]
    for _ in range(_STEPS):
        node = found[-1].producer()
        operand = None if node is None else _positionwise(node)
        if operand is None:
            break
        found.append(operand)
    return found


def _positionwise(node: ir.Node) -> ir.Value | None:
    """The one computed operand of ``node``, if the result has as many positions (last dim but one) as it."""
    computed = [value for value in node.inputs if value is not None and constant_tensor(value) is None]
    if node.domain != "" or node.op_type not in _POSITIONWISE or len(computed) != 1:
        return None
    (operand,) = computed
    if node.op_type == "MatMul":
        return operand if operand is node.inputs[0] else None
    if node.op_type == "Split":
        last = None if operand.shape is None else len(operand.shape) - 1
        return operand if node.attributes.get_int("axis", 0) in (-1, last) else None
    constants = [tensor for value in node.inputs if (tensor := constant_tensor(value)) is not None]
    one_row = all(len(tensor.shape) < 2 or tensor.shape[-2] == 1 for tensor in constants)
    return operand if one_row else None
