"""TrimOutputs: nodes compute only the outputs that something reads, and name only the inputs they have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import onnx
import onnx_ir as ir

from graphopt.ir.walk import nodes
from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite import opfacts

_OPTIONAL = onnx.defs.OpSchema.FormalParameterOption.Optional

# Up to opset 13 the outputs it names say whether it trains.
_MEANINGFUL = frozenset({"BatchNormalization", "Dropout"})


@dataclass(frozen=True)
class TrimOutputs(Pass):
    """Leave out optional outputs that nothing reads, and optional inputs that are not there.

    Before: ``y, indices = MaxPool(x); a, b = If(c) …; z = Clip(y, low, )`` with indices and b unused.
    After:  ``y = MaxPool(x); a = If(c) …; z = Clip(y, low)``, and what only b needed is dead.
    Needs:  nothing.
    Keeps:  graph outputs; the order of what stays.
    Skips:  outputs that an operator must have; what a Loop carries from round to round; training.
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Look at every node by itself."""
        opset = model.graph.opset_imports.get("", 1)
        trimmed = 0
        for node in list(nodes(model)):
            if _trim_inputs(node):
                ctx.applied(self.name(), node, "inputs that are not there are not listed")
                trimmed += 1
            unused = [index for index, value in enumerate(node.outputs) if _is_unused(value)]
            dropped = _trim_branches(node, unused) or _trim_optional(node, unused, opset)
            if dropped:
                ctx.applied(self.name(), node, f"nothing reads {', '.join(dropped)}")
                trimmed += 1
        return trimmed > 0


def _is_unused(value: ir.Value) -> bool:
    return bool(value.name) and not value.uses() and not value.is_graph_output()


def _trim_inputs(node: ir.Node) -> bool:
    count = len(node.inputs)
    while count and node.inputs[count - 1] is None:
        count -= 1
    if count == len(node.inputs) or node.domain not in ("", "ai.onnx"):
        return False
    node.resize_inputs(count)
    return True


def _trim_optional(node: ir.Node, unused: Sequence[int], opset: int) -> list[str]:
    """Leave out optional outputs: at the end they go, in between they lose their name."""
    schema = opfacts.schema(node.domain, node.op_type, opset) if unused else None
    if schema is None or node.op_type in _MEANINGFUL or len(unused) == len(node.outputs):
        return []
    free = [i for i in unused if i < len(schema.outputs) and schema.outputs[i].option == _OPTIONAL]
    names = [str(node.outputs[index].name) for index in free]
    for index in free:
        node.outputs[index].name = ""
    count = len(node.outputs)
    while not node.outputs[count - 1].name and not node.outputs[count - 1].uses():
        count -= 1
    node.resize_outputs(count)
    return names


def _trim_branches(node: ir.Node, unused: Sequence[int]) -> list[str]:
    """Take outputs away from an If and both its branches, or what nobody stacks from a Loop."""
    if node.domain not in ("", "ai.onnx") or len(unused) == len(node.outputs):
        return []
    if node.op_type == "If":
        graphs = [node.attributes[name].as_graph() for name in ("then_branch", "else_branch")]
        free, offset = list(unused), 0
    elif node.op_type == "Loop":
        graphs = [node.attributes["body"].as_graph()]
        states = len(graphs[0].inputs) - 2
        free, offset = [index for index in unused if index >= states], 1
    else:
        return []
    names = [str(node.outputs[index].name) for index in free]
    if not free:
        return []
    for graph in graphs:
        for index in reversed(free):
            graph.outputs.pop(index + offset)
    kept = [value for index, value in enumerate(node.outputs) if index not in free]
    twin = ir.Node(
        node.domain,
        node.op_type,
        list(node.inputs),
        list(node.attributes.values()),
        num_outputs=len(kept),
        name=node.name,
        doc_string=node.doc_string,
        metadata_props=dict(node.metadata_props),
    )
    assert node.graph is not None
    for old, new in zip(kept, twin.outputs, strict=True):
        new.type, new.shape, new.doc_string = old.type, old.shape, old.doc_string
        new.metadata_props.update(old.metadata_props)
        name, old.name = old.name, f"{old.name}.trimmed"
        new.name = name
        old.replace_all_uses_with(new, replace_graph_outputs=True)
    node.graph.insert_before(node, twin)
    node.graph.remove(node, safe=True)
    return names
