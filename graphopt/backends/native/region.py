"""From a region of canonical ONNX to a finished plan."""

from __future__ import annotations

import onnx_ir as ir

from graphopt.backends.native.fuse.elementwise import fuse_elementwise
from graphopt.backends.native.fuse.epilogue import fuse_epilogues
from graphopt.backends.native.fuse.reduction import fuse_reductions
from graphopt.backends.native.fuse.scalars import inline_scalars
from graphopt.backends.native.fuse.taps import drop_padding_taps
from graphopt.backends.native.fuse.transposes import merge_transposes
from graphopt.backends.native.fuse.unused import drop_unused
from graphopt.backends.native.fuse.views import hoist_elementwise
from graphopt.backends.native.layout.apply import assign_layouts
from graphopt.backends.native.lower.context import Context
from graphopt.backends.native.lower.graph import lower_graph
from graphopt.backends.native.plan import Program
from graphopt.ir.shapes import infer_shapes
from graphopt.ir.walk import all_nodes


def compile_region(region: ir.Model) -> Program:
    """Lower a region, choose layouts, fuse.

    Args:
        region: legalised; not changed.

    Raises:
        NodeRefused: a node cannot be lowered.
    """
    program = lower_graph(typed(region).graph, Context())
    drop_unused(program)
    drop_padding_taps(program)
    assign_layouts(program)
    merge_transposes(program)
    drop_unused(program)
    inline_scalars(program)
    fuse_elementwise(program)
    hoist_elementwise(program)
    fuse_epilogues(program)
    fuse_reductions(program)
    return program


def typed(region: ir.Model) -> ir.Model:
    """The region without functions it does not lower by name, and with a dtype and a shape at every value.

    The region itself where nothing is missing, else a changed clone.
    """
    if all(_is_typed(value) for node in all_nodes(region.graph) for value in node.outputs):
        return region
    copy = region.clone()
    infer_shapes(copy)
    return copy


def _is_typed(value: ir.Value) -> bool:
    return not value.uses() or (value.type is not None and value.shape is not None)
