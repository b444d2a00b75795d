"""InlineIf: a branch in place of an If that always takes it."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from graphopt.ir.elements import Elements
from graphopt.ir.walk import subgraphs
from graphopt.passes.fold._lift import Lift
from graphopt.passes.fold._same_graph import same_graph
from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass


@dataclass(frozen=True)
class InlineIf(Pass):
    """Replace an If by the branch it takes: its condition is known, or both branches are the same.

    Before: ``y = If(c) <then: p = Relu(x)> <else: q = Exp(x)>`` with c = true.
    After:  ``y = Relu(x)``.
    Needs:  inferred shapes; graphs in topological order.
    Keeps:  names of graph outputs; what the branch captures and the constants it holds.
    Skips:  conditions that depend on the data or on the size of a dynamic dim; functions.

    A condition is known when it is a constant, or follows from ranks and dims for every size:
    ``Equal(Size(Shape(x)), 3)``.
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Walk once; an inlined branch brings its own Ifs, which are looked at in turn."""
        if not any(_is_if(node) for node in model.graph.all_nodes()):
            return False
        elements, lift = Elements(model), Lift(model)
        inlined = 0
        work = list(model.graph)
        while work:
            node = work.pop()
            taken, why = _taken(node, elements) if _is_if(node) else (None, "")
            if taken is None:
                work.extend(inner for graph in subgraphs(node) for inner in graph)
                continue
            body, dropped = _branch(node, taken), _branch(node, not taken)
            ctx.applied(self.name(), node, why)
            work.extend(lift.replace(node, body, list(body.outputs)))
            _release(dropped)
            inlined += 1
        return inlined > 0


def _is_if(node: ir.Node) -> bool:
    return node.op_type == "If" and node.domain in ("", "ai.onnx")


def _taken(node: ir.Node, elements: Elements) -> tuple[bool | None, str]:
    """Which branch is always taken and why; None when it depends."""
    found = elements.of(node.inputs[0])
    if found is not None and found.size == 1:
        condition = found.ravel()[0]
        if isinstance(condition, bool | int):
            return bool(condition), f"its condition is always {str(bool(condition)).lower()}"
    if same_graph(_branch(node, True), _branch(node, False)):
        return True, "both branches are the same"
    return None, ""


def _branch(node: ir.Node, taken: bool) -> ir.Graph:
    return node.attributes["then_branch" if taken else "else_branch"].as_graph()


def _release(graph: ir.Graph) -> None:
    """Give up what a dropped branch captures."""
    for node in graph.all_nodes():
        for index in range(len(node.inputs)):
            node.replace_input_with(index, None)
