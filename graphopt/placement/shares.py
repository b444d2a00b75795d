"""How much of a model's work each backend got."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from graphopt.ir.analyses.flops import model_flops

if TYPE_CHECKING:
    import onnx_ir as ir

    from graphopt.placement.place import Placement

_USUAL_EXTENT = 64
"""Stands for every open dim: only the proportion between nodes matters."""


def usual_flops(model: ir.Model) -> Mapping[ir.Node, int | None]:
    """Operations per node with every open dim of one usual size; None where there is no formula."""
    names = {
        str(dim.value)
        for value in _values(model)
        for dim in (value.shape or ())
        if not isinstance(dim, int) and dim.value is not None
    }
    return model_flops(model, dict.fromkeys(names, _USUAL_EXTENT)).per_node


def share_of(backend: str, placement: Placement, flops: Mapping[ir.Node, int | None]) -> float:
    """Part of the operations that a backend's regions do, between 0 and 1; of the nodes where none are known.

    Args:
        backend: its name.
        placement: of the model.
        flops: operations per node, None where unknown.
    """
    nodes = [(region.backend, node) for region in placement.regions for node in region.nodes]
    work = [(name, flops.get(node) or 0) for name, node in nodes]
    if not any(count for _, count in work):
        work = [(name, 1) for name, _ in nodes]
    total = sum(count for _, count in work)
    return sum(count for name, count in work if name == backend) / total if total else 0.0


def _values(model: ir.Model) -> Iterable[ir.Value]:
    yield from model.graph.inputs
    for node in model.graph.all_nodes():
        yield from node.outputs
