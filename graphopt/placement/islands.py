"""Small regions between regions of another backend: moving their data would cost more than they gain."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx_ir as ir

    from graphopt.placement.place import Placement, Placer, Region

_MOST_NODES = 12
_MOST_SHARE = 0.01
"""Of the model's FLOPs: an island may hold no more."""

_HEAVY = frozenset(
    {
        "Attention",
        "Conv",
        "ConvTranspose",
        "Einsum",
        "GRU",
        "Gemm",
        "If",
        "LSTM",
        "Loop",
        "MatMul",
        "RNN",
        "Scan",
    }
)
"""Operators that are work even where their FLOPs are not known."""


def islands(placement: Placement, placer: Placer, flops: Mapping[ir.Node, int | None]) -> list[Region]:
    """The regions of few cheap nodes that another backend, which claims them too, surrounds.

    Args:
        placement: of the model.
        placer: that made it.
        flops: operations per node, None where unknown.
    """
    if len(placement.regions) < 2:
        return []
    total = sum(count or 0 for count in flops.values())
    return [
        region
        for region in placement.regions
        if _small(region, flops, total)
        and _surrounded(region, placement)
        and all(placer.taken_elsewhere(node, region.backend) for node in region.nodes)
    ]


def _small(region: Region, flops: Mapping[ir.Node, int | None], total: int) -> bool:
    if len(region.nodes) > _MOST_NODES or any(node.op_type in _HEAVY for node in region.nodes):
        return False
    return sum(flops.get(node) or 0 for node in region.nodes) <= _MOST_SHARE * total


def _surrounded(region: Region, placement: Placement) -> bool:
    """Whether it exchanges values with other regions only through backends that are less preferred."""
    own = {*region.inputs, *region.outputs}
    near = {r.backend for r in placement.regions if r is not region and own & {*r.inputs, *r.outputs}}
    return bool(near) and region.backend not in near
