"""ReadDimsDirectly: sizes read off the model's inputs instead of being carried through the graph."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from graphopt.ir.element_arithmetic import Array
from graphopt.ir.elements import Elements
from graphopt.passes.fold._dim_sources import Plan, Sources
from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass

_MOST_NODES = 32
"""Nodes that may die with one value: a longer computation of a shape is looked at in parts."""

_PLAIN = frozenset({"Concat", "Gather", "Shape", "Size", "Slice", "Squeeze", "Unsqueeze"})
"""What sizes are put together with, as far as anybody reading the graph is concerned."""

_OPSET = 15
"""Shape has a start and an end from here on."""


@dataclass(frozen=True)
class ReadDimsDirectly(Pass):
    """Replace the computation of a list of sizes by Shape nodes that read them where they are.

    Before: ``s = Shape(h); n = Unsqueeze(Gather(s, 0), [0]); t = Concat(n, [-1, 64])``, h of [N, S, 384]
            computed from the input x of [N, S].
    After:  ``n = Shape<end=1>(x); t = Concat(n, [-1, 64])``.
    Needs:  inferred shapes; graphs in topological order; opset 15.
    Keeps:  graph outputs; computations that something else needs too, unless a single node replaces them.
    Skips:  sizes that no input has; int32; a replacement of as many nodes.
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Walk backwards: the widest value is replaced first, and what only it needed is gone then."""
        if model.graph.opset_imports.get("", 0) < _OPSET:
            return False
        elements = Elements(model)
        sources = Sources(model, elements)
        changed = 0
        for node in reversed(list(model.graph.all_nodes())):
            if node.graph is not None and len(node.outputs) == 1:
                changed += self._try(node, elements, sources, ctx)
        return changed > 0

    def _try(self, node: ir.Node, elements: Elements, sources: Sources, ctx: PassContext) -> bool:
        value = node.outputs[0]
        found = elements.of(value)
        if found is None or found.ndim > 1 or value.dtype != ir.DataType.INT64:
            return False
        if not value.uses() or value.is_graph_output() or not _depends_on_dims(found):
            return False
        dying, shapes = _exclusive(node, elements)
        plan = sources.plan(found, shapes)
        if plan is None:
            return False
        if sources.cost(plan) >= len(dying) + self._is_plainer(node, plan):
            return False
        new = sources.build(plan, value)
        value.replace_all_uses_with(new)
        _remove(node)
        ctx.applied(self.name(), node, f"{len(dying)} nodes became {sources.spell(plan)}")
        return True

    @staticmethod
    def _is_plainer(node: ir.Node, plan: Plan) -> bool:
        """Whether the plan is worth it even for as many nodes.

        Reading an input frees what was read before; and a list of sizes put together by anything but
        Concat is what shape inference cannot see through.
        """
        if node.op_type == "Shape":
            return not _reads_input(node) and Sources.only_inputs(plan)
        return node.op_type not in _PLAIN


def _depends_on_dims(found: Array) -> bool:
    return any(not isinstance(element, int) for element in found.flat)


def _reads_input(node: ir.Node) -> bool:
    value = node.inputs[0]
    return value is not None and value.is_graph_input()


def _exclusive(node: ir.Node, elements: Elements) -> tuple[set[ir.Node], list[ir.Node]]:
    """The nodes that only ``node`` needs, itself included; and the Shape nodes it starts from."""
    dying = {node}
    shapes = [node] if node.op_type == "Shape" else []
    stack = [node]
    while stack and len(dying) < _MOST_NODES:
        current = stack.pop()
        for value in current.inputs if current.op_type not in ("Shape", "Size") else ():
            producer = value.producer() if value is not None else None
            if producer is None or producer in dying or elements.of(value) is None:
                continue
            if producer.op_type == "Shape" and producer not in shapes:
                shapes.append(producer)
            if all(_only(output, dying) for output in producer.outputs):
                dying.add(producer)
                stack.append(producer)
    return dying, shapes


def _only(value: ir.Value, readers: set[ir.Node]) -> bool:
    return not value.is_graph_output() and all(use.node in readers for use in value.uses())


def _remove(node: ir.Node) -> None:
    """Remove ``node`` and whatever only it needed of the computation of sizes."""
    stack = [node]
    while stack:
        current = stack.pop()
        if current.graph is None or any(v.uses() or v.is_graph_output() for v in current.outputs):
            continue
        if current.attributes and any(
            a.type in (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS) for a in current.attributes.values()
        ):
            continue
        producers = [value.producer() for value in current.inputs if value is not None]
        current.graph.remove(current, safe=True)
        stack.extend(producer for producer in producers if producer is not None)
