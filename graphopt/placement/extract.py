"""Cut one region out of a model, as a model of its own."""

from __future__ import annotations

import onnx_ir as ir

from graphopt.errors import ModelError
from graphopt.ir.walk import inner_nodes
from graphopt.placement.dependencies import read_values
from graphopt.placement.place import Region


def extract_region(model: ir.Model, region: Region) -> ir.Model:
    """The region as a model: its inputs and outputs by their names in the whole model.

    Nodes and values are copies, weights are shared: a tensor several regions use is in each of them,
    and an artifact stores its bytes once.

    Args:
        model: the placed model the region belongs to; not changed.
        region: of that model.

    Raises:
        ModelError: a value at the border has no known dtype.
    """
    graph = model.graph
    if len(region.nodes) == len(graph):
        return model.clone()
    reads: dict[int, ir.Value] = {id(v): v for node in region.nodes for v in read_values(node)}
    by_name = {value.name: value for value in (*graph.inputs, *graph.initializers.values(), *reads.values())}
    by_name |= {output.name: output for node in region.nodes for output in node.outputs}
    outputs = [by_name[name] for name in region.outputs]
    needed = reads | {id(value): value for value in outputs}
    view = ir.GraphView(
        [_typed(by_name[name]) for name in region.inputs],
        outputs,
        nodes=region.nodes,
        initializers=[value for value in graph.initializers.values() if id(value) in needed],
        opset_imports=dict(graph.opset_imports),
        name=f"{graph.name or 'graph'}_region{region.index}",
        metadata_props=dict(graph.metadata_props),
    )
    view.meta.update(graph.meta)
    called = _called_functions(model, region)
    return ir.Model(
        view.clone(),
        ir_version=model.ir_version,
        producer_name=model.producer_name,
        producer_version=model.producer_version,
        domain=model.domain,
        model_version=model.model_version,
        functions=[function.clone() for name, function in model.functions.items() if name in called],
        metadata_props=dict(model.metadata_props),
    )


def _typed(value: ir.Value) -> ir.Value:
    if value.type is None:
        raise ModelError(
            f"value '{value.name}' crosses a region's border with unknown dtype", "run infer-shapes"
        )
    return value


def _called_functions(model: ir.Model, region: Region) -> set[ir.OperatorIdentifier]:
    """The functions the region's nodes call, directly and through one another."""
    called: set[ir.OperatorIdentifier] = set()
    work = list(region.nodes)
    while work:
        node = work.pop()
        work.extend(inner_nodes(node))
        name = node.op_identifier()
        if name in model.functions and name not in called:
            called.add(name)
            work.extend(model.functions[name])
    return called
