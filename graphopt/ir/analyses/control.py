"""How often control flow runs its bodies."""

from __future__ import annotations

import onnx_ir as ir

from graphopt.ir.analyses.formulas.call import Call, Unknown
from graphopt.ir.analyses.sizes import Sizes

CONTROL_FLOW = frozenset({"If", "Loop", "Scan"})


def is_control_flow(node: ir.Node) -> bool:
    """Whether the node runs subgraphs."""
    return node.domain in ("", "ai.onnx") and node.op_type in CONTROL_FLOW


def trips(node: ir.Node, sizes: Sizes) -> int | None:
    """Runs of a body: 1 for If, a Loop's constant trip count, the length a Scan scans; None unknown."""
    call = Call(node, sizes)
    try:
        if node.op_type == "Loop":
            return call.scalar(0)
        if node.op_type == "Scan":
            axes = call.integers("scan_input_axes") or (0,)
            return call.dims(len(node.inputs) - call.integer("num_scan_inputs"))[axes[0]]
    except (Unknown, IndexError):
        return None
    return 1
