"""The opset ONNX Runtime is told, where it serves the newest version of an operator badly."""

from __future__ import annotations

import onnx_ir as ir

from graphopt.ir.opset.restamp import lowest_opset

# As of 1.31, CPU. From this opset on: AveragePool runs a generic loop, up to nine times slower than the
# vectorised one; the others have no kernel at all. Nothing but types and optional parts changed in them.
_BADLY_SERVED_SINCE = {
    "AveragePool": 19,
    "GlobalLpPool": 22,
    "MaxRoiPool": 22,
    "Multinomial": 22,
    "RandomNormal": 22,
    "RandomNormalLike": 22,
    "RandomUniform": 22,
    "RandomUniformLike": 22,
    "RoiAlign": 22,
}


def has_badly_served(model: ir.Model) -> bool:
    """Whether ``model`` holds an operator that ONNX Runtime serves better under an older opset."""
    own = model.opset_imports.get("", 0)
    return any(
        _BADLY_SERVED_SINCE.get(n.op_type, own + 1) <= own for n in model.graph.all_nodes() if n.domain == ""
    )


def opset_for_onnxruntime(model: ir.Model) -> int | None:
    """A lower opset at which the same nodes mean the same and run better, or None to keep the model's own.

    Args:
        model: without local functions, whose imports are their own; its values typed.
    """
    own = model.opset_imports.get("", 0)
    since = [_BADLY_SERVED_SINCE.get(n.op_type, own + 1) for n in model.graph.all_nodes() if n.domain == ""]
    if model.functions or min(since, default=own + 1) > own:
        return None
    return lowest_opset(model, at_least=min(since) - 1)
