"""Convolutions in shape inference: the same dims as the library's own function finds, in fewer steps.

A chain of convolutions makes long expressions of an open height, and each step of arithmetic on one prints
it anew. A window that keeps the size, as most do, needs no step at all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import onnx_ir as ir

# The library has no type information: its context is typed as what it is to mypy.
Context = Any
Infer = Callable[[Context, ir.Node], None]
Dim = int | ir.SymbolicDim


def quick_conv(original: Infer) -> Infer:
    """``original``, but for convolutions whose attributes are as plain as those of almost all are."""

    def infer(ctx: Context, node: ir.Node) -> None:
        dims = _plain_dims(node)
        if dims is None:
            original(ctx, node)
            return
        x = node.inputs[0]
        ctx.set_shape_and_dtype(node.outputs[0], ir.Shape(dims), None if x is None else x.dtype)

    return infer


def _plain_dims(node: ir.Node) -> list[Dim] | None:
    """The dims of the result of a valid convolution with explicit pads; None leaves it to the library."""
    shapes = [value.shape if value is not None else None for value in node.inputs[:2]]
    auto_pad = node.attributes.get("auto_pad")
    if len(shapes) < 2 or None in shapes or not node.outputs:
        return None
    if auto_pad is not None and auto_pad.as_string() != "NOTSET":
        return None
    x, w = (list(shape) for shape in shapes if shape is not None)
    spatial = len(x) - 2
    if spatial < 1 or len(w) != len(x):
        return None
    kernel = _ints(node, "kernel_shape", [size if isinstance(size, int) else 0 for size in w[2:]])
    strides, dilations = _ints(node, "strides", [1] * spatial), _ints(node, "dilations", [1] * spatial)
    pads = _ints(node, "pads", [0] * (2 * spatial))
    if {len(kernel), len(strides), len(dilations)} != {spatial} or len(pads) != 2 * spatial:
        return None
    if min(*kernel, *strides, *dilations) < 1:
        return None
    found: list[Dim] = [x[0], w[0]]
    for axis in range(spatial):
        reach = dilations[axis] * (kernel[axis] - 1) + 1
        found.append(_slid(x[axis + 2], pads[axis] + pads[axis + spatial] - reach, strides[axis]))
    return found


def _slid(size: Dim, more: int, stride: int) -> Dim:
    """``floor((size + more) / stride) + 1``."""
    if stride == 1:
        return size + (more + 1) if more != -1 else size
    return (size + more if more else size) // stride + 1


def _ints(node: ir.Node, name: str, default: list[int]) -> list[int]:
    attribute = node.attributes.get(name)
    return default if attribute is None else list(attribute.as_ints())
