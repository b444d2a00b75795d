"""Which backend runs what, with how much of the arithmetic, as the report tells it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from graphopt.driver.compilation.provenance import source_names

if TYPE_CHECKING:
    import onnx_ir as ir

    from graphopt.driver.compilation.candidate import Workshop
    from graphopt.driver.compilation.regions import BuiltRegion
    from graphopt.placement.place import Placement


def placement_rows(
    placement: Placement, workshop: Workshop, sized: ir.Model, dims: Mapping[str, Sequence[int]]
) -> tuple[dict[str, Any], ...]:
    """One row per backend, with the FLOPs of the sized model: placing itself sees symbolic shapes.

    Where there is more than one row, or engines are built, each row also has its ``share`` of all FLOPs, and
    of the nodes that fell back ``sources``: the person's own nodes they stand for, and their ``operators``.

    Args:
        placement: of the optimised model.
        workshop: that made it.
        sized: the optimised model with static shapes.
        dims: input → extents it is sized for.
    """
    rows = [row.to_json() for row in placement.rows]
    flops = _flops(placement, _placed_sized(placement, workshop, sized, dims))
    for row in rows:
        row["flops"] = flops.get(row["backend"])
    if _is_divided(placement, workshop):
        total = sum(flops.values())
        for row in rows:
            row["share"] = flops.get(row["backend"], 0) / total if total else None
            names = {name for group in row["fell_back"].values() for name in group}
            row["sources"] = _sources(placement, names)
            row["operators"] = {n.name: n.op_type for n in placement.model.graph if n.name in names}
    return tuple(rows)


def engine_rows(regions: Sequence[BuiltRegion]) -> tuple[dict[str, Any], ...]:
    """One row per region that was built as an engine: everything its backend recorded but its signature."""
    return tuple(
        {
            "region": built.region.index,
            "backend": built.region.backend,
            "nodes": len(built.region.nodes),
            "bytes": len(built.blob.data),
            **{key: value for key, value in built.blob.options.items() if key not in ("inputs", "outputs")},
        }
        for built in regions
        if "architectures" in built.blob.options
    )


def _is_divided(placement: Placement, workshop: Workshop) -> bool:
    return workshop.builds_engines or len(placement.rows) > 1


def _placed_sized(
    placement: Placement, workshop: Workshop, sized: ir.Model, dims: Mapping[str, Sequence[int]]
) -> ir.Model:
    """The placed model with static shapes: it has nodes of its own where calls were inlined."""
    from graphopt.driver.shapes import with_sizes
    from graphopt.errors import GraphoptError

    if not _is_divided(placement, workshop) or len(placement.model.graph) == len(sized.graph):
        return sized
    try:
        return with_sizes(placement.model, dims)
    except GraphoptError:
        return placement.model


def _flops(placement: Placement, sized: ir.Model) -> dict[str, int]:
    """Backend → operations of one inference."""
    from graphopt.ir.analyses.flops import model_flops

    counts = model_flops(sized).per_node
    by_value = {node.outputs[0].name: count for node, count in counts.items() if node.outputs}
    flops: dict[str, int] = {}
    for region in placement.regions:
        known = (by_value.get(node.outputs[0].name) for node in region.nodes if node.outputs)
        flops[region.backend] = flops.get(region.backend, 0) + sum(count or 0 for count in known)
    return flops


def _sources(placement: Placement, names: set[str]) -> dict[str, list[str]]:
    """Name of a placed node → the person's own nodes, where those are others."""
    found: dict[str, list[str]] = {}
    for node in placement.model.graph:
        own = list(source_names(node))
        if node.name in names and own != [node.name]:
            found[node.name] = own
    return found
