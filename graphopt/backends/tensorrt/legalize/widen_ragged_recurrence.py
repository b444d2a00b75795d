"""WidenRaggedRecurrence: recurrent layers over sequences of several lengths compute in float32."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import onnx_ir as ir

from graphopt.ir import walk
from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.constants import constant_array
from graphopt.rewrite.infer import infer_outputs
from graphopt.rewrite.scope import Scope

_LAYERS = frozenset({"LSTM", "GRU", "RNN"})
_LENGTHS = 4
"""Where a recurrent layer has the lengths of its sequences."""

_NARROW = frozenset({ir.DataType.FLOAT16, ir.DataType.BFLOAT16})


@dataclass(frozen=True)
class WidenRaggedRecurrence(Pass):
    """Cast around recurrent layers in float16 that are told how long each sequence is.

    The parser of TensorRT-RTX 1.7 fills the rest of a sequence with a zero of float32, whatever the type
    of the states, and then refuses the two side by side.

    Before: ``y = LSTM(x, w, r, b, lengths)`` in float16.
    After:  ``y = Cast<to=float16>(LSTM(Cast<to=float>(x), …))``; constants are stored in float32.
    Needs:  element types.
    Keeps:  results that are left out.
    Skips:  layers whose sequences are all of one length.
    """

    backend: ClassVar[str] = "tensorrt"

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Look at every recurrent layer."""
        found = [node for node in walk.nodes(model) if _is_ragged(node)]
        if not found:
            return False
        scope = Scope(model)
        scope.read()
        wide: dict[ir.Value, ir.Value] = {}
        for node in found:
            _Layer(node, scope, wide, model.opset_imports.get("", 0)).widen(model.graph)
            ctx.applied(self.name(), node, "it computes in float32")
        return True


def _is_ragged(node: ir.Node) -> bool:
    if node.domain != "" or node.op_type not in _LAYERS or node.graph is None:
        return False
    lengths = node.inputs[_LENGTHS] if len(node.inputs) > _LENGTHS else None
    return lengths is not None and node.inputs[0] is not None and node.inputs[0].dtype in _NARROW


@dataclass
class _Layer:
    """One layer.

    Attributes:
        node: the layer.
        scope: names in use.
        wide: constants in float32 by what they were, shared among layers.
        opset: of the model.
    """

    node: ir.Node
    scope: Scope
    wide: dict[ir.Value, ir.Value]
    opset: int

    def widen(self, main: ir.Graph) -> None:
        """Widen what it reads, narrow what it yields."""
        for index, value in enumerate(list(self.node.inputs)):
            if value is not None and index != _LENGTHS and value.dtype in _NARROW:
                self.node.replace_input_with(index, self._widened(value, main))
        graph = self.node.graph
        assert graph is not None, "it was found in a graph"
        for old in list(self.node.outputs):
            if not old.name or not (old.uses() or old.is_graph_output()):
                continue
            # The layer's own output is the wide one; what readers see is narrowed under the old name.
            narrow = ir.Value(name=old.name, type=old.type, shape=old.shape)
            narrow.metadata_props.update(old.metadata_props)
            old.replace_all_uses_with(narrow, replace_graph_outputs=True)
            old.name = self.scope.unique(f"{narrow.name}.wide")
            kind = narrow.dtype
            assert kind is not None, "its type is that of the layer"
            old.type = ir.TensorType(ir.DataType.FLOAT)
            graph.insert_after(self.node, self._cast(old, narrow, kind))

    def _widened(self, value: ir.Value, main: ir.Graph) -> ir.Value:
        array = constant_array(value)
        if array is None:
            cast = self._cast(
                value, ir.Value(name=self.scope.unique(f"{value.name}.wide")), ir.DataType.FLOAT
            )
            infer_outputs(cast, self.opset)
            assert self.node.graph is not None, "it was found in a graph"
            self.node.graph.insert_before(self.node, cast)
            return cast.outputs[0]
        if value not in self.wide:
            tensor = ir.tensor(array.astype(np.float32))
            name = self.scope.unique(f"{value.name}.wide")
            made = ir.Value(name=name, shape=value.shape, type=ir.TensorType(ir.DataType.FLOAT))
            made.const_value = tensor
            main.register_initializer(made)
            self.wide[value] = made
        return self.wide[value]

    def _cast(self, value: ir.Value, result: ir.Value, to: ir.DataType) -> ir.Node:
        name = self.scope.unique(f"{self.node.name}.Cast")
        made = ir.Node("", "Cast", [value], [ir.AttrInt64("to", int(to))], outputs=[result], name=name)
        made.metadata_props.update(self.node.metadata_props)
        return made
