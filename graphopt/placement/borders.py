"""What crosses the borders of regions."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from graphopt.errors import ModelError
from graphopt.placement.dependencies import read_values


class Borders:
    """Inputs and outputs of each region, by name.

    Attributes:
        inputs: per region, in the order of the model's inputs and then of first use.
        outputs: per region, in the order of the model's outputs and then of production.
    """

    def __init__(self, model: ir.Model, regions: Sequence[Sequence[ir.Node]]) -> None:
        """``regions`` hold every node of the main graph once, in running order."""
        graph = model.graph
        if len(regions) == 1:
            # The whole model keeps its signature, even an input that nothing reads.
            self.inputs = [[_name(value) for value in graph.inputs]]
            self.outputs = [[_name(value) for value in graph.outputs]]
            return
        model_inputs = {id(value): position for position, value in enumerate(graph.inputs)}
        owner = {id(v): index for index, nodes in enumerate(regions) for n in nodes for v in n.outputs}
        wanted: list[dict[int, ir.Value]] = [{} for _ in regions]
        self.inputs = []
        for index, nodes in enumerate(regions):
            taken: dict[int, ir.Value] = {}
            for value in (v for node in nodes for v in read_values(node)):
                source = owner.get(id(value))
                if source is None and id(value) not in model_inputs:
                    continue
                if source != index:
                    taken[id(value)] = value
                    if source is not None:
                        wanted[source][id(value)] = value
            ordered = sorted(taken.values(), key=lambda value: model_inputs.get(id(value), len(model_inputs)))
            self.inputs.append([_name(value) for value in ordered])
        for value in graph.outputs:
            if id(value) in owner:
                wanted[owner[id(value)]][id(value)] = value
            elif value.name in graph.initializers and id(value) not in model_inputs:
                # A constant output is computed by nobody: the first region returns it.
                wanted[0][id(value)] = value
        for index, nodes in enumerate(regions):
            if not wanted[index]:
                # Nothing reads what dead nodes compute, but no runtime runs a model without outputs.
                last = next(v for node in reversed(nodes) for v in node.outputs if v.name)
                wanted[index][id(last)] = last
        self.outputs = [_in_order(graph, values) for values in wanted]


def _in_order(graph: ir.Graph, values: dict[int, ir.Value]) -> list[str]:
    model_outputs = {id(value): position for position, value in enumerate(graph.outputs)}
    ordered = sorted(values.values(), key=lambda value: model_outputs.get(id(value), len(model_outputs)))
    return [_name(value) for value in ordered]


def _name(value: ir.Value) -> str:
    if not value.name:
        raise ModelError("a value that crosses a region's border has no name", "run name-values first")
    return value.name
