"""SimplifyAttentionMask: a mask need not be as large as the scores."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from graphopt.ir import walk
from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.constants import constant_tensor

_MASK = 3
_LARGEST = 1 << 16
"""Elements: a larger constant is not read to find only zeros in it."""


@dataclass(frozen=True)
class SimplifyAttentionMask(Pass):
    """Take away what only spreads a mask over heads, queries or keys: attention spreads it itself.

    Before: ``m = Add(ConstantOfShape([1, H, S, T]), mask); y = Attention(q, k, v, m)``.
    After:  ``y = Attention(q, k, v, mask)``; so for an Expand.
    Needs:  nothing.
    Keeps:  the spread mask where something else reads it.
    Skips:  masks of more than four dims.
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Look at the mask of every attention."""
        changed = False
        for node in walk.nodes(model):
            if node.op_type != "Attention" or node.domain != "" or len(node.inputs) <= _MASK:
                continue
            while (plain := _before_spreading(node.inputs[_MASK])) is not None:
                ctx.applied(self.name(), node, "its mask is spread by the attention itself")
                node.replace_input_with(_MASK, plain)
                changed = True
        return changed


def _before_spreading(mask: ir.Value | None) -> ir.Value | None:
    """What ``mask`` was before the last step that only made it larger, or None when that is no such step."""
    node = None if mask is None else mask.producer()
    if node is None or node.domain != "":
        return None
    if node.op_type == "Expand":
        plain = node.inputs[0]
    elif node.op_type == "Add":
        plain = next((b for a, b in (node.inputs, node.inputs[::-1]) if _is_zero(a)), None)
    else:
        return None
    has_rank = plain is not None and plain.shape is not None and len(plain.shape) <= _MASK + 1
    return plain if has_rank else None


def _is_zero(value: ir.Value | None) -> bool:
    """Whether every element of ``value`` is zero."""
    tensor = constant_tensor(value)
    if tensor is not None:
        return tensor.size <= _LARGEST and not np.any(np.asarray(tensor.numpy()))
    node = None if value is None else value.producer()
    if node is None or node.op_type != "ConstantOfShape" or node.domain != "":
        return False
    filled = node.attributes.get("value")
    return filled is None or (not filled.is_ref() and not np.any(filled.as_tensor().numpy()))
