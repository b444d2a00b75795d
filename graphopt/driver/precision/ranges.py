"""How large and how small every float value of a model gets on sample inputs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import onnx_ir as ir

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from graphopt.pipeline.protocols import RunnerFactory

    Feeds = Mapping[str, npt.NDArray[np.generic]]

ORIGIN = "graphopt.precision.node"
"""Metadata key of the node that an inlined one came from."""


@dataclass(frozen=True)
class Ranges:
    """What was observed, in a copy of the model whose functions are inlined.

    Attributes:
        model: the copy; each node's metadata names under ``ORIGIN`` the node it came from.
        peaks: value → the largest finite magnitude over all feeds.
        least: value → the smallest magnitude that is not zero, of the values it was asked for.
    """

    model: ir.Model
    peaks: Mapping[ir.Value, float]
    least: Mapping[ir.Value, float]


def flat_copy(model: ir.Model) -> ir.Model:
    """A clone without local functions, whose nodes know where they came from; weights are shared."""
    from graphopt.ir.shapes import infer_shapes
    from graphopt.ir.walk import all_nodes
    from graphopt.rewrite.inline import inline_functions

    flat = model.clone()
    for node in all_nodes(flat.graph):
        node.metadata_props[ORIGIN] = node.name or ""
    if inline_functions(flat):
        infer_shapes(flat)  # the bodies' inner values
    return flat


def observe(
    flat: ir.Model, feeds: Sequence[Feeds], make_runner: RunnerFactory, small: Iterable[ir.Value] = ()
) -> Ranges:
    """Run a model and note the range of every float32 value of its main graph.

    The figures are taken inside the graph: with a runner that computes nodes in order, memory is about
    that of a plain run.

    Args:
        flat: without local functions (``flat_copy``).
        feeds: to run on.
        make_runner: makes runners without optimisations (``runners.gauging_runner``).
        small: values whose smallest magnitude is wanted too.

    Raises:
        BackendError: the model cannot be run.
    """
    wanted = frozenset(small)
    gauged = flat.clone()
    graph = gauged.graph
    by_name = {value.name: value for value in _float_values(flat.graph)}
    gauges: dict[str, tuple[ir.Value, bool]] = {}
    for value in _float_values(graph):
        original = by_name[value.name]
        gauges[f"gauge_{len(gauges)}"] = (original, True)
        _gauge(graph, value, f"gauge_{len(gauges) - 1}", largest=True)
        if original in wanted:
            gauges[f"gauge_{len(gauges)}"] = (original, False)
            _gauge(graph, value, f"gauge_{len(gauges) - 1}", largest=False)
    runner = make_runner(gauged)
    peaks: dict[ir.Value, float] = {}
    least: dict[ir.Value, float] = {}
    for feed in feeds:
        results = runner.run(feed)
        for name, (value, largest) in gauges.items():
            figure = float(results[name])
            if largest:
                peaks[value] = max(peaks.get(value, 0.0), figure)
            else:
                least[value] = min(least.get(value, float("inf")), figure)
    return Ranges(flat, peaks, least)


def _float_values(graph: ir.Graph) -> list[ir.Value]:
    made = [value for node in graph for value in node.outputs if value.name]
    return [value for value in (*graph.inputs, *made) if _is_float_tensor(value)]


def _is_float_tensor(value: ir.Value) -> bool:
    return value.dtype == ir.DataType.FLOAT and isinstance(value.type, ir.TensorType)


def _gauge(graph: ir.Graph, value: ir.Value, name: str, *, largest: bool) -> None:
    """Add an output: max |x| of the finite x, or min |x| of those that are not zero.

    Its nodes stand right behind the value's, so that the value need not be kept any longer for them.
    """
    other = _number(graph, name, 0.0 if largest else float("inf"))
    magnitude = _node("Abs", [value])
    if largest:
        skipped = _node("IsInf", [magnitude], ir.DataType.BOOL)
    else:
        skipped = _node("Equal", [magnitude, _number(graph, f"{name}_zero", 0.0)], ir.DataType.BOOL)
    finite = _node("Where", [skipped, other, magnitude])
    result = _node("ReduceMax" if largest else "ReduceMin", [finite], keepdims=0)
    result.name = name
    result.shape = ir.Shape(())
    nodes = [v.producer() for v in (magnitude, skipped, finite, result)]
    made = [node for node in nodes if node is not None]
    producer = value.producer()
    first = next(iter(graph), None)
    if first is None:
        graph.extend(made)
    elif producer is None:
        graph.insert_before(first, made)
    else:
        graph.insert_after(producer, made)
    graph.outputs.append(result)


def _node(
    op_type: str, inputs: list[ir.Value], dtype: ir.DataType = ir.DataType.FLOAT, **attributes: Any
) -> ir.Value:
    node = ir.node(op_type, inputs, attributes)
    node.outputs[0].type = ir.TensorType(dtype)
    node.outputs[0].shape = None if inputs[0].shape is None else inputs[0].shape.copy()
    return node.outputs[0]


def _number(graph: ir.Graph, name: str, number: float) -> ir.Value:
    import numpy as np

    tensor = ir.Tensor(np.array(number, np.float32), name=f"{name}_other")
    value = ir.Value(
        name=tensor.name, type=ir.TensorType(tensor.dtype), shape=ir.Shape(()), const_value=tensor
    )
    graph.register_initializer(value)
    return value
