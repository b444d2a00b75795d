"""ClampMasks: masks of minus-the-largest-float32 become numbers that a lower precision can hold."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from graphopt.errors import UsageError
from graphopt.ir.walk import all_nodes
from graphopt.passes.precision._weights import PRECISIONS, largest
from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.constants import constant_tensor
from graphopt.rewrite.scope import Scope

_CARRIES = frozenset(
    ["Add", "Cast", "Concat", "Expand", "Gather", "Identity", "Max", "Mul", "Neg", "Reshape", "Slice",
     "Squeeze", "Sub", "Tile", "Transpose", "Unsqueeze", "Where"]
)  # fmt: skip
"""Steps from a constant to the mask it makes."""

_SHARE = 8
"""Masks end at this part of the range: what is added to them, and other inputs, have room."""

_STEPS = 16
_MASK = 3
"""The mask's place among the inputs of Attention."""


@dataclass(frozen=True)
class ClampMasks(Pass):
    """Raise what masks subtract to a part of the range of a lower precision.

    Exporters mask with the lowest float32. Rounded to float16 that is minus infinity, and a row with
    nothing else is NaN after its softmax. An eighth of the range does the same: exp(-8188) is 0 in any.

    Before: ``y = Softmax(Add(scores, Mul(mask, -3.4e38)))``.
    After:  ``y = Softmax(Add(scores, Max(Mul(mask, -3.4e38), -8188)))``.
    Needs:  nothing.
    Keeps:  masks that fit, infinite ones, what the mask is to others than the softmax.
    Skips:  sums that something besides a softmax reads; masks that no constant of the graph shows to be
            out of range.

    Attributes:
        to: ``float16`` or ``bfloat16``.
    """

    to: str = "float16"

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Clamp every mask of an attention or a softmax.

        Raises:
            UsageError: ``to`` is no precision.
        """
        if self.to not in PRECISIONS:
            raise UsageError(f"there is no precision {self.to!r} to clamp for", "float16 or bfloat16")
        clamp = _Clamp(model, largest(PRECISIONS[self.to]))
        done = 0
        for node in list(all_nodes(model.graph)):
            for index in _masks(node):
                if clamp.operand(node, index):
                    ctx.applied(self.name(), node, f"its mask ends at {-clamp.most:.5g}")
                    done += 1
            if clamp.fill(node):
                ctx.applied(self.name(), node, f"it fills with {-clamp.most:.5g}")
                done += 1
        return done > 0


def _masks(node: ir.Node) -> Iterator[int]:
    """The inputs of ``node`` that may be a mask on its way into a softmax."""
    if node.domain != "":
        return
    if node.op_type == "Attention":
        if len(node.inputs) > _MASK:
            yield _MASK
    elif node.op_type == "Add" and _only_softmax_reads(node.outputs[0]):
        yield from (0, 1)
    elif node.op_type == "Where" and _only_softmax_reads(node.outputs[0]):
        yield from (1, 2)


def _only_softmax_reads(value: ir.Value) -> bool:
    uses = value.uses()
    return bool(uses) and not value.is_graph_output() and all(u.node.op_type == "Softmax" for u in uses)


class _Clamp:
    """Clamps the masks of one model, each once."""

    def __init__(self, model: ir.Model, largest_value: float) -> None:
        self._model = model
        self._largest = largest_value
        self.most = largest_value / _SHARE
        self._scope = Scope(model)
        self._clamped: dict[ir.Value, ir.Value] = {}
        self._wide: dict[ir.Value, bool] = {}

    def operand(self, node: ir.Node, index: int) -> bool:
        """Clamp input ``index`` of ``node`` when it comes from a constant out of range."""
        mask = node.inputs[index]
        if mask is None or mask.dtype != ir.DataType.FLOAT or self._is_clamped(mask):
            return False
        if not self._is_wide(mask, _STEPS):
            return False
        if mask not in self._clamped:
            self._scope.read()
            tensor = constant_tensor(mask)
            self._clamped[mask] = self._of_constant(mask, tensor) if tensor is not None else self._max(mask)
        node.replace_input_with(index, self._clamped[mask])
        return True

    def fill(self, node: ir.Node) -> bool:
        """Clamp the filling number of graphopt's masked softmax."""
        number = node.attributes.get("fill") if node.domain == "graphopt" else None
        if number is None or number.is_ref() or not -np.inf < number.as_float() < -self._largest:
            return False
        node.attributes["fill"] = ir.AttrFloat32("fill", -self.most)
        return True

    def _is_wide(self, value: ir.Value, steps: int) -> bool:
        """Whether a finite constant below the range is among what ``value`` is made of."""
        if value not in self._wide:
            tensor, node = constant_tensor(value), value.producer()
            if tensor is not None:
                self._wide[value] = tensor.dtype == ir.DataType.FLOAT and self._falls_out(tensor)
            elif node is None or steps == 0 or node.domain != "" or node.op_type not in _CARRIES:
                self._wide[value] = False
            else:
                self._wide[value] = any(self._is_wide(v, steps - 1) for v in node.inputs if v is not None)
        return self._wide[value]

    def _falls_out(self, tensor: ir.TensorProtocol) -> bool:
        array = tensor.numpy()
        return bool(np.any((np.abs(array) > self._largest) & np.isfinite(array)))

    def _is_clamped(self, mask: ir.Value) -> bool:
        node = mask.producer()
        if node is None or node.op_type != "Max" or len(node.inputs) != 2:
            return False
        bound = constant_tensor(node.inputs[1])
        return bound is not None and bound.size == 1 and float(bound.numpy().item()) >= -self._largest

    def _of_constant(self, mask: ir.Value, tensor: ir.TensorProtocol) -> ir.Value:
        array = tensor.numpy()
        low = np.where(np.isneginf(array), array, np.maximum(array, np.float32(-self.most)))
        return self._initializer(f"{mask.name}.clamped", low.astype(np.float32))

    def _max(self, mask: ir.Value) -> ir.Value:
        name = self._scope.unique(f"{mask.name}.clamped")
        bound = self._initializer(f"{mask.name}.lowest", np.array(-self.most, np.float32))
        node = ir.node("Max", [mask, bound], name=name)
        result = node.outputs[0]
        result.name = name
        result.type = mask.type
        result.shape = None if mask.shape is None else mask.shape.copy()
        producer = mask.producer()
        assert producer is not None
        assert isinstance(producer.graph, ir.Graph)
        node.metadata_props.update(producer.metadata_props)
        producer.graph.insert_after(producer, node)
        return result

    def _initializer(self, wanted: str, array: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> ir.Value:
        name = self._scope.unique(wanted)
        value = ir.Value(
            name=name,
            type=ir.TensorType(ir.DataType.FLOAT),
            shape=ir.Shape(array.shape),
            const_value=ir.Tensor(array, name=name),
        )
        self._model.graph.register_initializer(value)
        return value
