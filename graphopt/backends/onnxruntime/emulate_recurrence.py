"""Recurrent operators step by step, so that their states can be rounded between two steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from graphopt.rewrite.names import Names

_STATES = {"LSTM": 2, "GRU": 1, "RNN": 1}
_ACTIVATIONS = {"LSTM": 3, "GRU": 2, "RNN": 1}
_LENGTHS, _FIRST_STATE = 4, 5
"""Places among the inputs, after x, w, r and the bias."""

_FOREIGN = frozenset({"activation_alpha", "activation_beta", "layout"})

Rounded = Callable[[ir.Value], list[ir.Node]]
"""The nodes that round a value; the result of the last one is the rounded value."""


def unrolled(node: ir.Node, names: Names, rounded: Rounded) -> tuple[list[ir.Node], list[ir.Value]] | None:
    """The nodes that compute ``node`` as a Scan over time with its states rounded after every step.

    Args:
        node: LSTM, GRU or RNN in float32; not changed.
        names: gives fresh ones.
        rounded: rounds a value.

    Returns:
        The nodes in order, and what stands for each result of ``node``; None for a form with lengths per
        sequence, another layout or parameters of activations.
    """
    lengths = node.inputs[_LENGTHS] if len(node.inputs) > _LENGTHS else None
    if node.op_type not in _STATES or lengths is not None or _FOREIGN & node.attributes.keys():
        return None
    if "hidden_size" not in node.attributes:
        return None
    return _Unrolling(node, names, rounded).run()


class _Unrolling:
    """One node, taken apart."""

    def __init__(self, node: ir.Node, names: Names, rounded: Rounded) -> None:
        self._node, self._names, self._rounded = node, names, rounded
        self._states = _STATES[node.op_type]
        self._made: list[ir.Node] = []

    def run(self) -> tuple[list[ir.Node], list[ir.Value]]:
        """Each direction as a Scan, put together as the operator's results are."""
        attribute = self._node.attributes.get("direction")
        direction = "forward" if attribute is None else attribute.as_string()
        count = 2 if direction == "bidirectional" else 1
        found = [self._direction(d, backwards=direction == "reverse" or d == 1) for d in range(count)]
        axis = self._ints([1])
        results = [self._add("Concat", [self._add("Unsqueeze", [f[0], axis]) for f in found], axis=1)]
        ends = zip(*(f[1:] for f in found), strict=True)
        results += [self._add("Concat", list(states), axis=0) for states in ends]
        for value, old in zip(results, self._node.outputs, strict=False):
            value.type, value.shape = old.type, None if old.shape is None else old.shape.copy()
        return self._made, results

    def _direction(self, d: int, *, backwards: bool) -> list[ir.Value]:
        """All hidden states [T, B, H], then the last state of each kind [1, B, H]."""
        inputs = [*self._node.inputs, *[None] * 8][:8]
        x = inputs[0]
        assert x is not None
        mine = [None if v is None else self._add("Gather", [v, self._ints([d])], axis=0) for v in inputs[1:4]]
        peepholes = inputs[7]
        states = [
            self._add("Gather", [v, self._ints([d])], axis=0) if v is not None else self._zeros(x)
            for v in inputs[_FIRST_STATE : _FIRST_STATE + self._states]
        ]
        tail = [] if peepholes is None else [self._add("Gather", [peepholes, self._ints([d])], axis=0)]
        body = self._body(d, mine, tail)
        scan = ir.node(
            "Scan",
            [*states, x],
            {
                "num_scan_inputs": 1,
                "scan_input_directions": [int(backwards)],
                "scan_output_directions": [int(backwards)],
                "body": body,
            },
            num_outputs=self._states + 1,
            name=self._names.fresh(f"{self._node.name}_scan"),
        )
        for value in scan.outputs:
            value.name = self._names.fresh(f"{self._node.name}_scanned")
            value.type = ir.TensorType(ir.DataType.FLOAT)
        self._made.append(scan)
        return [scan.outputs[-1], *scan.outputs[:-1]]

    def _body(self, d: int, weights: Sequence[ir.Value | None], tail: Sequence[ir.Value]) -> ir.Graph:
        states = [self._value("state") for _ in range(self._states)]
        x = self._value("step")
        made, self._made = self._made, []
        constant = self._ints([0])
        step = self._add("Unsqueeze", [x, constant])
        cell = ir.node(
            self._node.op_type,
            [step, *weights, None, *states, *tail],
            self._attributes(d),
            num_outputs=self._states + 1,
            name=self._names.fresh(f"{self._node.name}_step"),
        )
        self._made.append(cell)
        ends: list[ir.Value] = []
        for value in cell.outputs:
            value.name = self._names.fresh(f"{self._node.name}_exact")
            value.type = ir.TensorType(ir.DataType.FLOAT)
        for value in cell.outputs[1:]:
            steps = self._rounded(value)
            self._made += steps
            ends.append(steps[-1].outputs[0])
        hidden = self._add("Squeeze", [ends[0], constant])
        nodes, self._made = self._made, made
        return ir.Graph(
            [*states, x], [*ends, hidden], nodes=nodes, name=self._names.fresh(f"{self._node.name}_body")
        )

    def _attributes(self, d: int) -> dict[str, Any]:
        found: dict[str, Any] = {
            name: attribute
            for name, attribute in self._node.attributes.items()
            if name not in ("direction", "activations")
        }
        activations = self._node.attributes.get("activations")
        if activations is not None:
            each = _ACTIVATIONS[self._node.op_type]
            names = list(activations.as_strings())[d * each : (d + 1) * each]
            found["activations"] = ir.AttrStrings("activations", names)
        return found

    def _zeros(self, x: ir.Value) -> ir.Value:
        hidden = self._ints([self._node.attributes["hidden_size"].as_int()])
        batch = self._add("Gather", [self._add("Shape", [x]), self._ints([1])], axis=0)
        shape = self._add("Concat", [self._ints([1]), batch, hidden], axis=0)
        return self._add("ConstantOfShape", [shape])

    def _ints(self, numbers: list[int]) -> ir.Value:
        tensor = ir.Tensor(np.array(numbers, np.int64))
        return self._add("Constant", [], value=ir.AttrTensor("value", tensor))

    def _add(self, op_type: str, inputs: list[ir.Value], **attributes: Any) -> ir.Value:
        name = self._names.fresh(f"{self._node.name}_{op_type.lower()}")
        node = ir.node(op_type, inputs, attributes, name=name)
        node.outputs[0].name = name
        self._made.append(node)
        return node.outputs[0]

    def _value(self, kind: str) -> ir.Value:
        return ir.Value(
            name=self._names.fresh(f"{self._node.name}_{kind}"), type=ir.TensorType(ir.DataType.FLOAT)
        )
