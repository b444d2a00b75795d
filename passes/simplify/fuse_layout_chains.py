"""FuseLayoutChains: reshapes and transpositions that together do what one of them does."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from graphopt.passes.simplify._broadcast import Dims, dims_of
from graphopt.passes.simplify._layouts import (
    LAYOUT_OPERATORS,
    Layout,
    as_permutation,
    as_target,
    follow,
    start,
)
from graphopt.passes.simplify._surgery import Constants, drop_if_dead, is_only_read_by, nodes_of
from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.opfacts import opset_of

_LONGEST = 8
"""Steps of one chain."""

_MIN_OPSET = 13
"""From here on the axes of Squeeze and Unsqueeze are inputs."""


@dataclass(frozen=True)
class FuseLayoutChains(Pass):
    """Replace a chain of Reshape, Squeeze, Unsqueeze and Transpose by one Transpose, one Reshape or nothing.

    Before: ``a = Reshape(x, [-1, T, D]); b = Transpose<perm=[0, 2, 1]>(a); y = Reshape(b, [-1, H, D, T])``.
    After:  ``y = Transpose<perm=[0, 1, 3, 2]>(x)``.
    Needs:  the dims of x; axes that are merged and taken apart again, not cut in pieces.
    Keeps:  inner values that something else reads.
    Skips:  chains without a Transpose (``fuse-consecutive-reshapes``), results that need two steps, and a
            Transpose in place of a Reshape where the one before it stays.
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Visit every Reshape, Squeeze, Unsqueeze and Transpose once, the end of a chain before its parts."""
        if opset_of(model.graph, model) < _MIN_OPSET:
            return False
        constants = Constants(model)
        changed = False
        for graph, node in reversed(list(nodes_of(model, LAYOUT_OPERATORS))):
            chain = _chain(node) if node.graph is not None else []
            for first in range(len(chain) - 1):
                if self._replace(graph, chain[first:], constants):
                    ctx.applied(self.name(), node, f"{len(chain) - first} steps are one")
                    changed = True
                    break
        return changed

    def _replace(self, graph: ir.Graph, chain: list[ir.Node], constants: Constants) -> bool:
        source = chain[0].inputs[0]
        dims = dims_of(source)
        if source is None or dims is None or 0 in dims:
            return False
        if not any(node.op_type == "Transpose" for node in chain):
            return False
        layout: Layout | None = start(dims)
        for node in chain:
            layout = None if layout is None else follow(node, layout, dims)
        return layout is not None and _write(graph, chain, layout, dims, constants)


def _chain(node: ir.Node) -> list[ir.Node]:
    """The layout operators that lead to ``node``, each reading the one before."""
    chain = [node]
    while len(chain) < _LONGEST:
        value = chain[0].inputs[0]
        producer = None if value is None else value.producer()
        if producer is None or producer.graph is not node.graph:
            break
        if producer.domain != "" or producer.op_type not in LAYOUT_OPERATORS:
            break
        chain.insert(0, producer)
    return chain


def _drops_transpose(chain: list[ir.Node]) -> bool:
    """Whether one of the transpositions goes away: a Reshape alone is not worth a new one."""
    for node, reader in zip(reversed(chain), [None, *reversed(chain)], strict=False):
        if reader is not None and not is_only_read_by(node.outputs[0], reader):
            return False
        if node.op_type == "Transpose":
            return True
    return False


def _write(graph: ir.Graph, chain: list[ir.Node], layout: Layout, dims: Dims, constants: Constants) -> bool:
    """Let the last of ``chain`` compute its result in one step, or do without it."""
    source, last = chain[0].inputs[0], chain[-1]
    output = last.outputs[0]
    assert source is not None
    target = as_target(layout, dims)
    perm = as_permutation(layout, dims)
    if perm == tuple(range(len(dims))) and not output.is_graph_output():
        output.replace_all_uses_with(source)
        drop_if_dead(last)
        return True
    if target is not None:
        name = f"{output.name}.shape"
        shape = constants.add(graph, name, np.asarray(target, np.int64))
        new = ir.Node("", "Reshape", [source, shape], name=last.name)
    elif perm is not None and _drops_transpose(chain):
        new = ir.Node("", "Transpose", [source], [ir.AttrInt64s("perm", perm)], name=last.name)
    else:
        return False
    value = new.outputs[0]
    value.type, value.shape = output.type, output.shape
    graph.insert_before(last, new)
    value.name, output.name = output.name, constants.unique(f"{output.name}.replaced")
    output.replace_all_uses_with(value, replace_graph_outputs=True)
    drop_if_dead(last)
    return True
