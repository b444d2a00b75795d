"""The figures of a model that the before/after table compares."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import onnx_ir as ir

from graphopt.ir import walk
from graphopt.ir.analyses.flops import model_flops
from graphopt.ir.analyses.liveness import peak_activation_bytes
from graphopt.ir.analyses.sizes import Sizes
from graphopt.report.record import GraphSummary


def summarise(model: ir.Model, bindings: Mapping[str, int] | None = None) -> GraphSummary:
    """Figures of ``model``.

    Args:
        model: with inferred shapes, or FLOPs and activations stay unknown.
        bindings: extents of symbolic dimensions.
    """
    sizes = Sizes(bindings)
    flops = model_flops(model, sizes)
    return GraphSummary(
        nodes=walk.num_nodes(model),
        operators=operator_counts(model),
        weight_bytes=walk.weight_bytes(model),
        parameters=sum(t.size for t in walk.constants(model) if t.dtype.is_floating_point()),
        flops=flops.total,
        uncounted=flops.uncounted,
        peak_activation_bytes=peak_activation_bytes(model, sizes),
    )


def operator_counts(model: ir.Model) -> dict[str, int]:
    """How often each operator occurs, most frequent first; Constant nodes are left out."""
    counts = Counter(operator_name(node) for node in walk.nodes(model) if node.op_type != "Constant")
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def operator_name(node: ir.Node) -> str:
    """``Conv``, or ``domain::Op`` outside ONNX's own domain."""
    return node.op_type if node.domain in ("", "ai.onnx") else f"{node.domain}::{node.op_type}"
