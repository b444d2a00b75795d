"""Bytes: the compulsory memory traffic of a node, each operand read once and each result written once.

Views (Reshape, Squeeze, …) move nothing, selections (Gather, Slice) read what they select, and nodes that
look only at a shape read nothing. Caches, tiling and packing are not modelled: it is the lower bound that
arithmetic intensity and rooflines are drawn with (Williams, Waterman, Patterson, 2009).
"""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from graphopt.ir import walk
from graphopt.ir.analyses.control import is_control_flow, trips
from graphopt.ir.analyses.flops import Bindings
from graphopt.ir.analyses.sizes import Sizes, constant

VIEWS = frozenset(
    {"Reshape", "Squeeze", "Unsqueeze", "Flatten", "Identity", "Dropout", "Optional", "OptionalGetElement"}
)
"""Operators whose first output is the first input's memory under another shape."""

_SHAPE_ONLY = frozenset({"Shape", "Size", "Constant", "SequenceLength", "OptionalHasElement"})
_SELECTIONS = frozenset({"Gather", "GatherND", "GatherElements", "Slice", "Compress"})


@dataclass(frozen=True)
class ModelTraffic:
    """The memory traffic of one inference.

    Attributes:
        total: bytes of the nodes whose sizes are known; of a branch, the dearer side.
        unknown: nodes whose sizes are not, subgraphs included.
    """

    total: int
    unknown: int


@dataclass(frozen=True)
class Traffic:
    """Bytes one node moves.

    Attributes:
        weights: bytes of constants read.
        read: bytes of activations read.
        written: bytes of results.
    """

    weights: int
    read: int
    written: int

    @property
    def total(self) -> int:
        """All bytes moved."""
        return self.weights + self.read + self.written


def is_view(node: ir.Node) -> bool:
    """Whether the node's first output shares its first input's memory."""
    return node.domain in ("", "ai.onnx") and node.op_type in VIEWS and bool(node.inputs)


def node_bytes(node: ir.Node, bindings: Bindings | Sizes | None = None) -> Traffic | None:
    """Traffic of one node, or None when a size is unknown; of control flow, that of its operands and results.

    Args:
        node: any node.
        bindings: extents of symbolic dimensions.
    """
    sizes = bindings if isinstance(bindings, Sizes) else Sizes(bindings)
    if is_view(node) or (node.domain in ("", "ai.onnx") and node.op_type in _SHAPE_ONLY):
        return Traffic(0, 0, 0)
    written = [sizes.nbytes(value) for value in node.outputs if value.name or value.uses()]
    if None in written:
        return None
    total_written = sum(size for size in written if size is not None)
    weights = read = 0
    for index, value in enumerate(dict.fromkeys(v for v in node.inputs if v is not None)):
        size = sizes.nbytes(value)
        if size is None:
            return None
        if index == 0 and node.domain in ("", "ai.onnx") and node.op_type in _SELECTIONS:
            size = min(size, total_written)
        if constant(value) is not None:
            weights += size
        else:
            read += size
    return Traffic(weights, read, total_written)


def model_bytes(model: ir.Model, bindings: Bindings | Sizes | None = None) -> ModelTraffic:
    """Traffic of every node, bodies of control flow as often as they run; linear in nodes."""
    sizes = bindings if isinstance(bindings, Sizes) else Sizes(bindings)
    return _graph_bytes(model.graph, sizes)


def _graph_bytes(graph: ir.Graph, sizes: Sizes) -> ModelTraffic:
    """Recursion follows the nesting of subgraphs."""
    total = unknown = 0
    for node in graph:
        if is_control_flow(node):
            inner = [_graph_bytes(body, sizes) for body in walk.subgraphs(node)]
            runs = trips(node, sizes)
            total += (runs or 0) * max((body.total for body in inner), default=0)
            unknown += sum(body.unknown for body in inner) + (runs is None)
            continue
        traffic = node_bytes(node, sizes)
        total += 0 if traffic is None else traffic.total
        unknown += traffic is None
    return ModelTraffic(total, unknown)
