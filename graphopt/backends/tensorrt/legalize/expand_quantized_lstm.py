"""ExpandQuantizedLstm: a dynamically quantised LSTM is a Scan over its steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import onnx.parser
import onnx_ir as ir

from graphopt.backends.tensorrt.legalize._quantized_lstm import DOMAIN, QuantizedLstm
from graphopt.ir import walk
from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.constants import constant_array
from graphopt.rewrite.infer import infer_outputs, infer_untyped
from graphopt.rewrite.inline import inline_functions
from graphopt.rewrite.names import Names

if TYPE_CHECKING:
    import numpy.typing as npt

_OPERATOR = ("com.microsoft", "DynamicQuantizeLSTM")

_REVERSE: dict[str, tuple[bool, ...]] = {
    "forward": (False,),
    "reverse": (True,),
    "bidirectional": (False, True),
}

_LENGTHS, _PEEPHOLES = 4, 7
"""Inputs that no rule here spells out."""

_GIVEN = {"w": 1, "r": 2, "bias": 3, "h": 5, "c": 6, "w_scale": 8, "w_zero": 9, "r_scale": 10, "r_zero": 11}
"""Positions of the others; each has one part for each direction."""


@dataclass(frozen=True)
class ExpandQuantizedLstm(Pass):
    """Write com.microsoft.DynamicQuantizeLSTM as a Scan of quantised products and gates.

    TensorRT has no quantised recurrence. Each state is quantised by its own range, as ONNX Runtime does
    for up to four sequences at once (from two on, it may quantise them one by one); both directions run
    in one Scan, whose length is that of the sequence.

    Before: ``y, y_h, y_c = com.microsoft.DynamicQuantizeLSTM(x, w, r, b, , h, c, , …)``.
    After:  ``DynamicQuantizeLinear`` and ``MatMulInteger`` of x, a ``Scan`` with those of the states, gates.
    Needs:  constant weights, scales and zero points; the default activations.
    Keeps:  every bit but for what Sigmoid and Tanh round; weights of 8 bits.
    Skips:  lengths of sequences, peepholes, clips, coupled gates.
    """

    backend: ClassVar[str] = "tensorrt"

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Replace each by a call of its text, and inline the calls."""
        found = [node for node in walk.all_nodes(model.graph) if (node.domain, node.op_type) == _OPERATOR]
        names = Names.of(model.graph)
        expanded = False
        for node in found:
            reason = _refuses(node)
            if reason is not None:
                ctx.missed(self.name(), node, reason)
                continue
            _call(model, node, names)
            ctx.applied(self.name(), node, "DynamicQuantizeLSTM became Scan")
            expanded = True
        if expanded:
            inline_functions(model, lambda call: call.domain == DOMAIN)
            del model.opset_imports[DOMAIN]
            infer_untyped(model, unshaped=True)
        return expanded


def _refuses(node: ir.Node) -> str | None:
    reverse = _REVERSE.get(node.attributes.get_string("direction", "forward") or "")
    if reverse is None:
        return "it runs in an unknown direction"
    for name in ("w", "r", "w_scale", "w_zero", "r_scale", "r_zero"):
        if constant_array(_input(node, _GIVEN[name])) is None:
            return f"its {name} is computed"
    if _input(node, _GIVEN["bias"]) is not None and constant_array(_input(node, _GIVEN["bias"])) is None:
        return "its bias is computed"
    if (_input(node, _GIVEN["h"]) is None) != (_input(node, _GIVEN["c"]) is None):
        return "only one of its first states is given"
    if _input(node, _LENGTHS) is not None or _input(node, _PEEPHOLES) is not None:
        return "it has lengths of sequences, or peepholes"
    if node.attributes.get_float("clip", 0.0) or node.attributes.get_int("input_forget", 0):
        return "it clips its gates, or couples them"
    given = [name.lower() for name in node.attributes.get_strings("activations", ()) or ()]
    default = ["sigmoid", "tanh", "tanh"] * len(reverse)
    return None if given in ([], default) else "its activations are not the default ones"


def _input(node: ir.Node, position: int) -> ir.Value | None:
    return node.inputs[position] if position < len(node.inputs) else None


def _call(model: ir.Model, node: ir.Node, names: Names) -> None:
    """Put a call of the LSTM's text in the place of ``node``, and the text into the model."""
    reverse = _REVERSE[node.attributes.get_string("direction", "forward") or ""]
    weights = _array(node, _GIVEN["r"])
    lstm = QuantizedLstm(
        reverse=reverse,
        hidden=int(weights.shape[1]),
        bias=_input(node, _GIVEN["bias"]) is not None,
        states=_input(node, _GIVEN["h"]) is not None,
        opset=model.opset_imports.get("", 23),
    )
    graph = node.graph
    assert isinstance(graph, ir.Graph), "the pass looks at graphs only"
    inputs = [node.inputs[0], *_operands(model, graph, node, lstm, names)]
    function = ir.serde.deserialize_function(onnx.parser.parse_function(lstm.text()))
    model.functions[function.identifier()] = function
    model.opset_imports[DOMAIN] = 1
    outputs = [ir.Value(name=old.name, shape=old.shape, type=old.type) for old in node.outputs]
    outputs += [ir.Value(name=names.fresh(f"{node.name}_unused")) for _ in range(3 - len(outputs))]
    call = ir.Node(DOMAIN, lstm.name, inputs, outputs=outputs, name=node.name)
    call.metadata_props.update(node.metadata_props)
    for value, old in zip(call.outputs, node.outputs, strict=False):
        if not value.name:
            value.name = names.fresh(f"{node.name}_unused")
        value.type = value.type or ir.TensorType(ir.DataType.FLOAT)
        old.name = None
        old.replace_all_uses_with(value, replace_graph_outputs=True)
    graph.insert_before(node, call)
    read = [value for value in node.inputs if value is not None]
    graph.remove(node, safe=True)
    for value in read:
        _drop_unused(value)


def _drop_unused(value: ir.Value) -> None:
    """Remove an initializer whose parts have taken its place."""
    if value.uses() or value.is_graph_output() or value.is_graph_input() or value.graph is None:
        return
    value.graph.initializers.pop(value.name or "", None)


def _operands(
    model: ir.Model, graph: ir.Graph, node: ir.Node, lstm: QuantizedLstm, names: Names
) -> list[ir.Value]:
    """What the text takes besides x, in its order: a part of each input for each direction."""
    found: list[ir.Value] = []
    for name in lstm.inputs()[1:]:
        kind, way = name[:-1], int(name[-1])
        label = names.fresh(f"{node.name}_{name}")
        if kind in ("h", "c"):
            found.append(_state(model, graph, node, kind, way, label))
        else:
            found.append(_constant(model, _part(_array(node, _GIVEN[kind]), kind, way), label))
    return found


def _array(node: ir.Node, position: int) -> npt.NDArray[np.generic]:
    found = constant_array(_input(node, position))
    assert found is not None, "what is computed was refused"
    return found


def _part(array: npt.NDArray[np.generic], kind: str, way: int) -> npt.NDArray[np.generic]:
    """One direction of a weight, its scales or its zero points; the two halves of a bias are added up."""
    part = array[way]
    if kind == "bias":
        return np.asarray(part[: part.size // 2] + part[part.size // 2 :])
    if kind.endswith("_zero") and part.ndim:
        return np.asarray(part[0])  # ONNX Runtime reads the first and insists on the others being like it
    return np.ascontiguousarray(part)


def _constant(model: ir.Model, array: npt.NDArray[np.generic], name: str) -> ir.Value:
    tensor = ir.tensor(array, name=name)
    value = ir.Value(name=name, shape=ir.Shape(array.shape), type=ir.TensorType(tensor.dtype))
    value.const_value = tensor
    model.graph.register_initializer(value)
    return value


def _state(model: ir.Model, graph: ir.Graph, node: ir.Node, kind: str, way: int, name: str) -> ir.Value:
    """The first state of one direction."""
    whole = _input(node, _GIVEN[kind])
    index = _constant(model, np.asarray(way, np.int64), f"{name}_index")
    taken = ir.Node("", "Gather", [whole, index], [ir.AttrInt64("axis", 0)], name=name)
    taken.outputs[0].name = name
    taken.metadata_props.update(node.metadata_props)
    graph.insert_before(node, taken)
    infer_outputs(taken, model.opset_imports.get("", 23))
    return taken.outputs[0]
