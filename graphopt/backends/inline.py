"""Inline calls of local functions."""

from __future__ import annotations

import onnx_ir as ir
from onnx_ir.passes.common import InlinePass


def inline_functions(model: ir.Model) -> None:
    """Replace calls of local functions by their bodies, in place, and drop the functions."""
    if model.functions:
        InlinePass()(model)
