"""Types and shapes no inference knows, read off one run of the model: custom operators have none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from graphopt.ir.walk import subgraphs
from graphopt.placement.dependencies import read_values

if TYPE_CHECKING:
    import onnx_ir as ir

_BY_VALUE = frozenset({"Compress", "NonMaxSuppression", "NonZero", "StringSplit", "Unique"})
"""Operators whose results have as many elements as the data says."""


def complete_values(model: ir.Model, feeds: Mapping[str, Any] | None) -> None:
    """Give the values of the main graph the type, and the fixed shape, that inference cannot tell.

    What crosses from one region to another needs a type, and an engine the sizes of its inputs.

    Args:
        model: changed in place: types and shapes only. Those already known stay.
        feeds: inputs the model runs on; None leaves what inference does not know.
    """
    from graphopt.errors import GraphoptError
    from graphopt.ir.shapes import infer_shapes

    if any(value.type is None for value in _results(model)):
        infer_shapes(model)
    fixed = all(v.shape is not None and v.shape.is_static() for v in model.graph.inputs)
    if feeds is None or not _open(model, fixed):
        return
    try:
        _observe(model, feeds, fixed)
    except GraphoptError:
        # What placement then cannot do, it says itself.
        return


def _observe(model: ir.Model, feeds: Mapping[str, Any], fixed: bool) -> None:
    import numpy as np
    import onnx_ir as ir

    from graphopt.backends.onnxruntime.runner import make_runner

    wanted = _open(model, fixed)
    runner = make_runner(model, optimise=False, extra_outputs=[value.name or "" for value in wanted])
    seen = runner.run(feeds)
    by_data = _depends_on_data(model)
    for value in wanted:
        array = seen.get(value.name or "")
        if not isinstance(array, np.ndarray):
            continue
        if value.type is None:
            value.type = ir.TensorType(ir.DataType.from_numpy(array.dtype))
        if fixed and value not in by_data:
            value.shape = ir.Shape(array.shape)


def _results(model: ir.Model) -> list[ir.Value]:
    return [value for node in model.graph for value in node.outputs if value.name]


def _open(model: ir.Model, fixed: bool) -> list[ir.Value]:
    """The values with something to learn: a type, or, where the inputs are fixed, a shape."""
    return [
        value
        for value in _results(model)
        if value.type is None or (fixed and (value.shape is None or not value.shape.is_static()))
    ]


def _depends_on_data(model: ir.Model) -> set[ir.Value]:
    """The values whose shape may change with the contents of the inputs, seen conservatively."""
    found: set[ir.Value] = set()
    for node in model.graph:
        inner = any(True for _ in subgraphs(node))
        if inner or node.op_type in _BY_VALUE or any(value in found for value in read_values(node)):
            found.update(node.outputs)
    return found
