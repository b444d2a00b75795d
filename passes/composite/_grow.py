"""Growing a set of nodes upwards from a root: whatever only the set reads, and fits, joins it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection

import onnx_ir as ir


def grow(root: ir.Node, fits: Callable[[ir.Node], bool], taken: Collection[ir.Node]) -> list[ir.Node]:
    """The largest set of nodes above ``root`` whose values nothing outside reads.

    Args:
        root: the one node whose first output is read outside.
        fits: asked once for each node all of whose readers have joined; may keep account of those it
            said yes to.
        taken: nodes that belong to other sets.

    Returns:
        The nodes, each after those that read it, ``root`` first. A node joins only when every use of
        every output lies in the set, so no path leaves the set and comes back.
    """
    found = [root]
    inside = {root}
    uses: Counter[ir.Node] = Counter()
    for node in found:
        for value in node.inputs:
            producer = None if value is None else value.producer()
            if producer is None or producer.graph is not root.graph or producer in inside:
                continue
            uses[producer] += 1
            if producer in taken or uses[producer] < _readers(producer):
                continue
            if not any(value.is_graph_output() for value in producer.outputs) and fits(producer):
                found.append(producer)
                inside.add(producer)
    return found


def _readers(node: ir.Node) -> int:
    """How often the outputs of ``node`` are read; inputs of nodes in subgraphs count too."""
    return sum(len(value.uses()) for value in node.outputs)
