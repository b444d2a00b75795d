"""SpellRecurrentLayout: recurrent layers with the batch in front."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import onnx_ir as ir

from graphopt.ir import walk
from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.infer import infer_outputs
from graphopt.rewrite.scope import Scope

_LAYERS = frozenset({"LSTM", "GRU", "RNN"})
_SWAPPED_INPUTS = (0, 5, 6)
"""The sequence, and the first states."""

_SWAP = (1, 0, 2)
_SEQUENCE_BACK = (2, 0, 1, 3)
"""[length, directions, batch, features] with the batch in front: [batch, length, directions, features]."""

_SEQUENCE_FRONT = (1, 2, 0, 3)


@dataclass(frozen=True)
class SpellRecurrentLayout(Pass):
    """Put the batch second in what recurrent layers read and write.

    TensorRT's parser does not look at ``layout``: it takes the batch for the sequence, without a word.

    Before: ``y, h = GRU<layout=1>(x, w, r)``.
    After:  ``t, s = GRU(Transpose(x), w, r); y = Transpose(t); h = Transpose(s)``.
    Needs:  nothing.
    Keeps:  results that are left out.
    Skips:  layers with the sequence in front.
    """

    backend: ClassVar[str] = "tensorrt"

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Look at every recurrent layer."""
        found = [
            node
            for node in walk.nodes(model)
            if node.domain == "" and node.op_type in _LAYERS and node.attributes.get_int("layout", 0) == 1
        ]
        if not found:
            return False
        scope, opset = Scope(model), model.opset_imports.get("", 0)
        scope.read()
        for node in found:
            _turn(node, scope, opset)
            ctx.applied(self.name(), node, "the batch is second now")
        return True


def _turn(node: ir.Node, scope: Scope, opset: int) -> None:
    """Transpose around one layer."""
    graph = node.graph
    assert graph is not None, "it was found in a graph"
    del node.attributes["layout"]
    for index in _SWAPPED_INPUTS:
        value = node.inputs[index] if index < len(node.inputs) else None
        if value is None:
            continue
        before = _transpose(node, value, ir.Value(name=scope.unique(f"{value.name}.turned")), _SWAP, scope)
        infer_outputs(before, opset)
        graph.insert_before(node, before)
        node.replace_input_with(index, before.outputs[0])
    for index, old in enumerate(node.outputs):
        if not old.name or not (old.uses() or old.is_graph_output()):
            continue
        # The layer's own output takes the new order; what readers see is transposed back under the old name.
        turned = ir.Value(name=old.name, type=old.type, shape=old.shape)
        turned.metadata_props.update(old.metadata_props)
        old.replace_all_uses_with(turned, replace_graph_outputs=True)
        old.name = scope.unique(f"{turned.name}.turned")
        perm, front = (_SEQUENCE_BACK, _SEQUENCE_FRONT) if index == 0 else (_SWAP, _SWAP)
        if old.shape is not None:
            old.shape = ir.Shape([old.shape[axis] for axis in front])
        graph.insert_after(node, _transpose(node, old, turned, perm, scope))


def _transpose(
    layer: ir.Node, value: ir.Value, result: ir.Value, perm: tuple[int, ...], scope: Scope
) -> ir.Node:
    name = scope.unique(f"{layer.name}.Transpose")
    made = ir.Node("", "Transpose", [value], [ir.AttrInt64s("perm", perm)], outputs=[result], name=name)
    made.metadata_props.update(layer.metadata_props)
    return made
