"""Adapters for operators whose attributes became inputs: the same computation, spelled anew.

Versions are those of the standard's change log, https://onnx.ai/onnx/operators.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from graphopt.ir.opset.scene import (
    Edit,
    Refused,
    Scene,
    constant,
    drop,
    int64s,
    ints,
    number,
    plain,
    real,
    set_inputs,
    text,
    unused,
)


def axes(node: ir.Node, _version: int, _scene: Scene) -> Edit:
    """Squeeze and Unsqueeze until 12, ReduceSum until 12, the other reductions until 17: ``axes``."""
    given = ints(node, "axes")

    def edit() -> None:
        drop(node, "axes")
        if given:  # An empty list means "all", as no list does.
            set_inputs(node, [node.inputs[0], int64s(node, given)])

    return edit


def slice_(node: ir.Node, _version: int, _scene: Scene) -> Edit:
    """Slice until 9: ``starts``, ``ends``, ``axes``."""
    starts, ends, given = ints(node, "starts"), ints(node, "ends"), ints(node, "axes")
    if starts is None or ends is None:
        raise Refused("it lacks starts or ends")

    def edit() -> None:
        drop(node, "starts", "ends", "axes")
        inputs: list[ir.Value | None] = [node.inputs[0], int64s(node, starts), int64s(node, ends)]
        set_inputs(node, [*inputs, int64s(node, given)] if given else inputs)

    return edit


def split(node: ir.Node, version: int, _scene: Scene) -> Edit:
    """Split: ``split`` is an input since 13, and since 18 equal parts are asked for by number."""
    sizes = ints(node, "split") if version < 13 else None

    def edit() -> None:
        drop(node, "split")
        if sizes:
            set_inputs(node, [node.inputs[0], int64s(node, sizes)])
        elif len(node.inputs) < 2 or node.inputs[1] is None:
            node.attributes.add(ir.AttrInt64("num_outputs", len(node.outputs)))

    return edit


def top_k(node: ir.Node, version: int, _scene: Scene) -> Edit:
    """TopK until 9: ``k``."""
    if version >= 10:
        return _nothing
    k = number(node, "k", 0)

    def edit() -> None:
        drop(node, "k")
        set_inputs(node, [node.inputs[0], int64s(node, [k])])

    return edit


def clip(node: ir.Node, _version: int, scene: Scene) -> Edit:
    """Clip until 10: ``min`` and ``max``."""
    dtype = scene.dtype(node.inputs[0])
    bounds = [None if plain(node, name) is None else real(node, name, 0.0) for name in ("min", "max")]

    def edit() -> None:
        drop(node, "min", "max", "consumed_inputs")
        inputs = [None if b is None else constant(node, np.array(b, dtype.numpy()), dtype) for b in bounds]
        set_inputs(node, [node.inputs[0], *inputs])

    return edit


def pad(node: ir.Node, _version: int, scene: Scene) -> Edit:
    """Pad until 10: ``pads`` and ``value``."""
    pads, fill = ints(node, "pads"), real(node, "value", 0.0)
    if pads is None:
        raise Refused("it lacks pads")
    dtype = scene.dtype(node.inputs[0])

    def edit() -> None:
        drop(node, "pads", "value")
        inputs: list[ir.Value | None] = [node.inputs[0], int64s(node, pads)]
        set_inputs(
            node, inputs if fill == 0 else [*inputs, constant(node, np.array(fill, dtype.numpy()), dtype)]
        )

    return edit


def dropout(node: ir.Node, version: int, _scene: Scene) -> Edit:
    """Dropout until 11: ``ratio``; the mask was of the input's type until 9, and is boolean since."""
    ratio = real(node, "ratio", 0.5)
    if version < 10 and any(not unused(value) for value in node.outputs[1:]):
        raise Refused("its mask is used, and has another type since opset 10")

    def edit() -> None:
        drop(node, "ratio")
        set_inputs(node, [node.inputs[0], constant(node, np.array(ratio, np.float32))])
        if version < 10:
            node.resize_outputs(1)

    return edit


def dft(node: ir.Node, _version: int, _scene: Scene) -> Edit:
    """DFT until 19: ``axis``, whose default was another one."""
    axis = number(node, "axis", 1)

    def edit() -> None:
        drop(node, "axis")
        length = node.inputs[1] if len(node.inputs) > 1 else None
        set_inputs(node, [node.inputs[0], length, constant(node, np.array(axis, np.int64))])

    return edit


def upsample(node: ir.Node, version: int, _scene: Scene) -> Edit:
    """Upsample (7 to 9) is Resize with the coordinates of ONNX Runtime's Upsample: asymmetric, floor."""
    mode = text(node, "mode", "nearest")
    if mode not in ("nearest", "linear"):
        raise Refused(f"its mode {mode!r} is not of the standard")
    scales = plain(node, "scales") if version < 9 else None
    if version < 9 and scales is None:
        raise Refused("it lacks scales")

    def edit() -> None:
        given = (
            constant(node, np.array(scales.as_floats(), np.float32)) if scales is not None else node.inputs[1]
        )
        drop(node, "scales")
        node.op_type = "Resize"
        node.attributes.add(ir.AttrString("coordinate_transformation_mode", "asymmetric"))
        node.attributes.add(ir.AttrString("nearest_mode", "floor"))
        set_inputs(node, [node.inputs[0], None, given])

    return edit


def _nothing() -> None:
    """The old spelling is the new one."""
