"""What may be part of a composite besides its anchor."""

from __future__ import annotations

import onnx_ir as ir

from graphopt.ops.quick_gelu import QUICK_GELU
from graphopt.ops.silu import SILU
from graphopt.rewrite.opfacts import BROADCASTING, UNARY

_POINTWISE = UNARY | BROADCASTING | {"CastLike"}
_NAMED = frozenset({SILU.identifier, QUICK_GELU.identifier})


def is_elementwise(node: ir.Node) -> bool:
    """Whether each element of the result comes from one element of every input."""
    if node.op_identifier() in _NAMED:
        return True
    return node.domain == "" and node.op_type in _POINTWISE
