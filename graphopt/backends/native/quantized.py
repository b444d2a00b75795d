"""Nodes between quantisers: a runtime with integer kernels runs them in integers if they stay together."""

from __future__ import annotations

import onnx_ir as ir

_QUANTISERS = frozenset({"QuantizeLinear", "DynamicQuantizeLinear"})
_MOVING = """
    AveragePool Clip Concat DepthToSpace Expand Flatten Gather GlobalAveragePool GlobalMaxPool Identity
    MaxPool Pad Relu Reshape Resize Slice SpaceToDepth Split Squeeze Tile Transpose Unsqueeze
"""
_MOVES = frozenset(_MOVING.split())
"""Operators that integers may pass through as they are."""
_FAR = 8
"""Operators of that kind that are looked through."""


def between_quantisers(node: ir.Node) -> bool:
    """Whether a node reads what was just dequantised, or gives what is quantised next."""
    if node.op_type in _QUANTISERS or node.op_type == "DequantizeLinear":
        return True
    return _reads_dequantised(node) or _is_quantised(node)


def _reads_dequantised(node: ir.Node) -> bool:
    level = [node]
    for _ in range(_FAR):
        producers = [p for n in level for v in n.inputs if v is not None and (p := v.producer()) is not None]
        if any(producer.op_type == "DequantizeLinear" for producer in producers):
            return True
        level = [producer for producer in dict.fromkeys(producers) if producer.op_type in _MOVES]
        if not level:
            return False
    return False


def _is_quantised(node: ir.Node) -> bool:
    level = [node]
    for _ in range(_FAR):
        readers = [user for n in level for v in n.outputs for user in v.consumers()]
        if any(reader.op_type in _QUANTISERS for reader in readers):
            return True
        level = [reader for reader in dict.fromkeys(readers) if reader.op_type in _MOVES]
        if not level:
            return False
    return False
