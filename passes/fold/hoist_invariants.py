"""HoistInvariants: what every round of a loop computes anew is computed once, before it."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from graphopt.ir.elements import Elements
from graphopt.ir.walk import subgraphs
from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass

_LOOPS = frozenset({"Loop", "Scan"})
# Different each time, by design.
_RANDOM = frozenset(
    {"Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"}
)
# These run on any operand, so a loop that makes no round may have them before it.
_NEVER_FAIL = frozenset(
    {
        "Abs",
        "Acos",
        "Asin",
        "Atan",
        "Cast",
        "Ceil",
        "Celu",
        "Constant",
        "Cos",
        "Elu",
        "Erf",
        "Exp",
        "Floor",
        "Gelu",
        "HardSigmoid",
        "HardSwish",
        "Identity",
        "LeakyRelu",
        "Log",
        "Mish",
        "Neg",
        "Not",
        "Reciprocal",
        "Relu",
        "Round",
        "Selu",
        "Shape",
        "Sigmoid",
        "Sign",
        "Sin",
        "Size",
        "Softplus",
        "Softsign",
        "Sqrt",
        "Tanh",
    }
)


@dataclass(frozen=True)
class HoistInvariants(Pass):
    """Move nodes of a Loop or Scan body that read nothing the loop changes in front of it.

    Before: ``y = Loop(n, , x) <body: v = Transpose(w); s' = MatMul(s, v)>``.
    After:  ``v = Transpose(w); y = Loop(n, , x) <body: s' = MatMul(s, v)>``.
    Needs:  graphs in topological order; unique names.
    Keeps:  values of the body's outputs: what a loop returns is computed in it.
    Skips:  random operators, nodes with subgraphs; where the loop may make no round, operators that
            can fail: the loop would have run without them.
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Inner loops first: what leaves one may leave the next."""
        loops = [node for node in model.graph.all_nodes() if node.op_type in _LOOPS and _is_standard(node)]
        if not loops:
            return False
        elements = Elements(model)
        return sum(self._hoist(node, elements, ctx) for node in reversed(loops)) > 0

    def _hoist(self, loop: ir.Node, elements: Elements, ctx: PassContext) -> int:
        body = loop.attributes["body"].as_graph()
        certain = _runs(loop, elements)
        inside: set[ir.Value | None] = set(body.inputs)
        hoisted = 0
        for node in list(body):
            if not _is_invariant(node, inside) or not (certain or node.op_type in _NEVER_FAIL):
                inside.update(node.outputs)
                continue
            home = loop.graph
            assert isinstance(home, ir.Graph)
            _take_constants(node, body, home)
            body.remove(node)
            home.insert_before(loop, node)
            ctx.applied(self.name(), node, f"the same in every round of {loop.name}")
            hoisted += 1
        return hoisted


def _is_standard(node: ir.Node) -> bool:
    return node.domain in ("", "ai.onnx")


def _is_invariant(node: ir.Node, inside: set[ir.Value | None]) -> bool:
    if not _is_standard(node) or node.op_type in _RANDOM or any(subgraphs(node)):
        return False
    if any(value.is_graph_output() for value in node.outputs):
        return False
    return not any(value in inside for value in node.inputs)


def _take_constants(node: ir.Node, body: ir.Graph, home: ir.Graph) -> None:
    """Move what ``node`` reads of the body's initializers along with it; the body still sees them."""
    for value in node.inputs:
        if value is not None and value.is_initializer() and value.graph is body and value.name:
            del body.initializers[value.name]
            home.register_initializer(value)


def _runs(loop: ir.Node, elements: Elements) -> bool:
    """Whether the loop certainly makes a round."""
    if loop.op_type != "Loop":
        return False
    rounds, condition = (elements.of(value) for value in loop.inputs[:2])
    goes_on = loop.inputs[1] is None or (condition is not None and condition.ravel()[0] is True)
    counted = rounds is not None and isinstance(rounds.ravel()[0], int) and rounds.ravel()[0] > 0
    return goes_on and (loop.inputs[0] is None or counted)
