"""Adapters for operators whose meaning changed under the same name, or that were renamed."""

from __future__ import annotations

import onnx_ir as ir

from graphopt.ir.opset.scene import (
    Edit,
    Refused,
    Scene,
    insert_before,
    known,
    number,
    set_inputs,
    text,
    unused,
)


def softmax(node: ir.Node, _version: int, scene: Scene) -> Edit:
    """Softmax, LogSoftmax and Hardmax until 12 flatten to two dims at ``axis`` (default 1) first."""
    axis = number(node, "axis", 1)
    rank = scene.rank(node.inputs[0])

    def last_axis() -> None:
        node.attributes.add(ir.AttrInt64("axis", -1))

    def flattened() -> None:
        """x → Flatten(axis) → op(-1) → Reshape(Shape(x))"""
        data, result = node.inputs[0], node.outputs[0]
        shape = ir.node("Shape", [data])
        flat = ir.node("Flatten", [data], attributes={"axis": axis})
        insert_before(node, shape, flat)
        node.replace_input_with(0, flat.outputs[0])
        last_axis()
        inner = ir.Value(name=None, type=result.type)
        reshape = ir.node("Reshape", [inner, shape.outputs[0]], outputs=None)
        _swap_output(node, result, reshape)

    return last_axis if rank is not None and axis % max(rank, 1) == rank - 1 else flattened


def _swap_output(node: ir.Node, result: ir.Value, last: ir.Node) -> None:
    """Let ``last`` follow ``node`` and give the graph the value ``node`` gave it, under the same name."""
    graph = node.graph
    if graph is None:
        raise Refused("it belongs to no graph")
    name, shown = result.name, last.outputs[0]
    shown.type, shown.shape, shown.doc_string = result.type, result.shape, result.doc_string
    shown.metadata_props.update(result.metadata_props)
    result.replace_all_uses_with(shown, replace_graph_outputs=True)
    last.replace_input_with(0, result)
    result.shape = None
    result.name = None if name is None else f"{name}_before_{last.op_type}"
    shown.name = name
    graph.insert_after(node, [last])


def batch_normalization(node: ir.Node, version: int, _scene: Scene) -> Edit:
    """BatchNormalization until 13 had five outputs and decided by their number whether it trains."""
    if version < 9 and number(node, "spatial", 1) != 1:
        raise Refused("spatial=0 is gone since opset 9")
    if any(not unused(value) for value in node.outputs[1:]):
        raise Refused("it is in training mode and its statistics are read")
    # Naming them is enough to train: the mean and variance are then those of the batch.
    trains = any(value.name for value in node.outputs[1:])

    def edit() -> None:
        node.attributes.pop("spatial", None)
        node.resize_outputs(3 if trains else 1)
        if trains:
            node.attributes["training_mode"] = ir.AttrInt64("training_mode", 1)

    return edit if version < 14 else _nothing


def resize(node: ir.Node, version: int, _scene: Scene) -> Edit:
    """Resize-10 had no roi, and ONNX Runtime's coordinates; 11 and 12 pass an empty scales beside sizes."""
    if version < 11:
        return _resize_10(node)
    if text(node, "coordinate_transformation_mode", "half_pixel") == "tf_half_pixel_for_nn":
        raise Refused("tf_half_pixel_for_nn is gone since opset 13")
    crops = text(node, "coordinate_transformation_mode", "half_pixel") == "tf_crop_and_resize"
    sized = len(node.inputs) > 3 and node.inputs[3] is not None
    if sized and node.inputs[2] is not None and version < 13:
        scales = known(node.inputs[2])
        if scales is None or scales.size:
            raise Refused("it has both scales and sizes")

    def edit() -> None:
        if sized and version < 13:
            node.replace_input_with(2, None)
        if not crops and len(node.inputs) > 1 and version < 13:
            node.replace_input_with(1, None)

    return edit


def _resize_10(node: ir.Node) -> Edit:
    mode = text(node, "mode", "nearest")
    nearest = "floor"
    if mode == "nearest":
        scales = known(node.inputs[1])
        factors = [] if scales is None else [float(s) for s in scales.reshape(-1).tolist()]
        shrinks = any(factor < 1 for factor in factors)
        if scales is None or (shrinks and any(factor > 1 for factor in factors)):
            raise Refused("its rounding depends on scales that are unknown, or both above and below 1")
        nearest = "ceil" if shrinks else "floor"

    def edit() -> None:
        node.attributes.add(ir.AttrString("coordinate_transformation_mode", "asymmetric"))
        node.attributes.add(ir.AttrString("nearest_mode", nearest))
        set_inputs(node, [node.inputs[0], None, node.inputs[1]])

    return edit


def roi_align(node: ir.Node, version: int, _scene: Scene) -> Edit:
    """RoiAlign until 15 did not shift by half a pixel, which is the default since."""

    def edit() -> None:
        if version < 16:
            node.attributes.add(ir.AttrString("coordinate_transformation_mode", "output_half_pixel"))

    return edit


def grid_sample(node: ir.Node, version: int, _scene: Scene) -> Edit:
    """GridSample until 19 called its modes bilinear and bicubic."""
    old = text(node, "mode", "bilinear" if version < 20 else "linear")

    def edit() -> None:
        node.attributes.add(ir.AttrString("mode", {"bilinear": "linear", "bicubic": "cubic"}.get(old, old)))

    return edit


def scatter(node: ir.Node, _version: int, _scene: Scene) -> Edit:
    """Scatter is called ScatterElements since 11."""

    def edit() -> None:
        node.op_type = "ScatterElements"

    return edit


def group_normalization(_node: ir.Node, version: int, _scene: Scene) -> Edit:
    """GroupNormalization until 20 scaled per group, since 21 per channel."""
    if version < 21:
        raise Refused("its scale is per group, and per channel since opset 21")
    return _nothing


def scan(_node: ir.Node, version: int, _scene: Scene) -> Edit:
    """Scan-8 ran over a batch, with lengths."""
    if version < 9:
        raise Refused("Scan-8 has a batch axis, which is gone since opset 9")
    return _nothing


def _nothing() -> None:
    """The old spelling is the new one."""
