"""DropRecurrentDefaults: inputs of a recurrent layer that say what holds without them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from graphopt.ir.walk import graphs
from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.constants import constant_array, constant_tensor

_RECURRENT = frozenset({"LSTM", "GRU", "RNN"})
_BIAS, _LENGTHS, _FIRST_STATE = 3, 4, 5
_MOST = 1 << 16
"""Elements: larger constants are not looked through."""


@dataclass(frozen=True)
class DropRecurrentDefaults(Pass):
    """Leave out states and biases that are zero, and lengths that are those of the sequence.

    Before: ``y = GRU(x, w, r, zeros, [T, T], zeros)`` with x of T steps.
    After:  ``y = GRU(x, w, r)``.
    Needs:  constants; for the lengths, a number of steps that is known.
    Keeps:  the positions of the inputs that stay.
    Skips:  lengths that differ, and the weights of peepholes.
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Look at every input of every recurrent node."""
        dropped = 0
        for graph in graphs(model):
            for node in graph:
                if node.domain == "" and node.op_type in _RECURRENT:
                    dropped += self._drop(node, ctx)
        return dropped > 0

    def _drop(self, node: ir.Node, ctx: PassContext) -> int:
        states = (_FIRST_STATE, _FIRST_STATE + 1) if node.op_type == "LSTM" else (_FIRST_STATE,)
        gone = [i for i in (_BIAS, *states) if i < len(node.inputs) and _is_zero(node.inputs[i])]
        if len(node.inputs) > _LENGTHS and _are_full(node):
            gone.append(_LENGTHS)
        for index in gone:
            node.replace_input_with(index, None)
            ctx.applied(self.name(), node, f"input {index} says what holds without it")
        if gone:
            while node.inputs and node.inputs[-1] is None:
                node.resize_inputs(len(node.inputs) - 1)
        return len(gone)


def _is_zero(value: ir.Value | None) -> bool:
    tensor = constant_tensor(value)
    return tensor is not None and tensor.size <= _MOST and not np.asarray(tensor.numpy()).any()


def _are_full(node: ir.Node) -> bool:
    """Whether every sequence is as long as the longest can be."""
    x, lengths = node.inputs[0], constant_array(node.inputs[_LENGTHS])
    if x is None or x.shape is None or len(x.shape) != 3 or lengths is None:
        return False
    steps = x.shape[1 if node.attributes.get_int("layout", 0) == 1 else 0]
    return isinstance(steps, int) and bool((lengths == steps).all())
