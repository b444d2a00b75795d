"""The same model written differently: what must not keep a form from being recognised."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
import onnx.defs
import onnx.helper
import onnx.numpy_helper

from graphopt.rewrite.opfacts import is_commutative
from tests.recognition.half import to_float16

Feeds = Sequence[Mapping[str, np.ndarray]]


@dataclass(frozen=True)
class Variant:
    """One way to write the model.

    Attributes:
        name: of the way.
        model: written that way.
        base: the variant whose outputs it must reproduce; its own name when it is the original itself.
    """

    name: str
    model: onnx.ModelProto
    base: str


def variants(
    model: onnx.ModelProto,
    feeds: Feeds,
    scales: Sequence[str] = (),
    dynamic: Mapping[str, Sequence[int]] | None = None,
) -> Iterator[Variant]:
    """Every variant that differs from ``model``, which comes first under the name ``base``.

    Args:
        model: as written in the document.
        feeds: with which it runs; they say what the sizes of dynamic dims may be.
        scales: results whose constant factor may be written otherwise.
        dynamic: input → axes to leave open; None for the first axis of every input that has two.
    """
    yield Variant("base", model, "base")
    made: dict[str, Callable[[onnx.ModelProto], bool]] = {
        "operands-swapped": _swap_all,
        "operands-half-swapped": _swap_some,
        "constants-as-nodes": _constants_as_nodes,
        "constants-as-initializers": _constants_as_initializers,
        "scale-inverted": lambda m: _every(_invert_scale, m, scales),
        "scale-as-root": lambda m: _every(_root_scale, m, scales),
        "scale-in-weights": lambda m: _every(_fold_scale, m, scales),
        "dims-dynamic": lambda m: _open_dims(m, dynamic),
        "dims-static": lambda m: _close_dims(m, feeds[0]),
    }
    for name, change in made.items():
        written = _copy(model)
        if change(written):
            yield Variant(name, written, name if name.startswith("dims") else "base")
    half = to_float16(model)
    if half is None:
        return
    yield Variant("float16", half, "float16")
    written = _copy(half)
    changes = (_swap_all, _constants_as_nodes, lambda m: _open_dims(m, dynamic))
    if sum(change(written) for change in changes):
        yield Variant("float16-swapped-dynamic", written, "float16-swapped-dynamic")


def _copy(model: onnx.ModelProto) -> onnx.ModelProto:
    made = onnx.ModelProto()
    made.CopyFrom(model)
    return made


def _every(
    change: Callable[[onnx.ModelProto, str], bool], model: onnx.ModelProto, names: Sequence[str]
) -> bool:
    return bool(names) and all(change(model, name) for name in names)


# -- operands and constants ---------------------------------------------------------------------------


def _swap_all(model: onnx.ModelProto) -> bool:
    return _swap(model, lambda _: True)


def _swap_some(model: onnx.ModelProto) -> bool:
    return _swap(model, lambda number: number % 2 == 0)


def _swap(model: onnx.ModelProto, chosen: Callable[[int], bool]) -> bool:
    number = 0
    for node in model.graph.node:
        if len(node.input) != 2 or not is_commutative(node.domain, node.op_type):
            continue
        if chosen(number):
            node.input[:] = [node.input[1], node.input[0]]
        number += 1
    return number > 0


def _constants_as_nodes(model: onnx.ModelProto) -> bool:
    graph = model.graph
    made = [
        onnx.helper.make_node("Constant", [], [tensor.name], f"make_{tensor.name}", value=tensor)
        for tensor in graph.initializer
    ]
    nodes = [*made, *graph.node]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(nodes)
    return bool(made)


def _constants_as_initializers(model: onnx.ModelProto) -> bool:
    graph = model.graph
    lifted = [n for n in graph.node if n.op_type == "Constant" and not n.domain]
    for node in lifted:
        array = constant_of(model, node.output[0])
        assert array is not None
        graph.initializer.append(onnx.numpy_helper.from_array(array, node.output[0]))
        graph.node.remove(node)
    return bool(lifted)


def constant_of(model: onnx.ModelProto, name: str) -> np.ndarray | None:
    """The array behind an initializer or a Constant node."""
    for tensor in model.graph.initializer:
        if tensor.name == name:
            return onnx.numpy_helper.to_array(tensor)
    for node in model.graph.node:
        if node.op_type != "Constant" or node.output[0] != name:
            continue
        value = onnx.helper.get_attribute_value(node.attribute[0])
        if isinstance(value, onnx.TensorProto):
            return onnx.numpy_helper.to_array(value)
        return np.asarray(value, np.float32 if node.attribute[0].name.startswith("value_f") else np.int64)
    return None


# -- scales -------------------------------------------------------------------------------------------


def _scaling(model: onnx.ModelProto, name: str) -> tuple[onnx.NodeProto, int, np.ndarray]:
    """The Mul or Div that makes ``name``, which operand is constant, and the constant."""
    node = next((n for n in model.graph.node if name in n.output), None)
    assert node is not None, f"SCALE: {name} is no value of the model"
    assert node.op_type in ("Mul", "Div"), f"SCALE: {name} is made by {node.op_type}, not by Mul or Div"
    for index in (1, 0):
        array = constant_of(model, node.input[index])
        if array is not None and (index == 1 or node.op_type == "Mul"):
            return node, index, array
    raise AssertionError(f"SCALE: {name} has no constant factor")


def _add_constant(model: onnx.ModelProto, stem: str, array: np.ndarray) -> str:
    name = f"{stem}_{len(model.graph.initializer)}"
    model.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    return name


def _invert_scale(model: onnx.ModelProto, name: str) -> bool:
    """x · c as x / (1/c), and the other way round."""
    node, index, array = _scaling(model, name)
    data = node.input[1 - index]
    node.op_type = "Div" if node.op_type == "Mul" else "Mul"
    node.input[:] = [data, _add_constant(model, "inverse", np.asarray(1 / array, array.dtype))]
    return True


def _root_scale(model: onnx.ModelProto, name: str) -> bool:
    """c as Sqrt(c²)."""
    node, index, array = _scaling(model, name)
    if np.any(array < 0):
        return False
    squared = _add_constant(model, "squared", np.asarray(array * array, array.dtype))
    root = f"root_{squared}"
    place = list(model.graph.node).index(node)
    model.graph.node.insert(place, onnx.helper.make_node("Sqrt", [squared], [root], root))
    model.graph.node[place + 1].input[index] = root
    return True


_CARRIERS = ("Reshape", "Transpose", "Squeeze", "Unsqueeze", "Identity", "Split")


def _fold_scale(model: onnx.ModelProto, name: str) -> bool:
    """The factor in the weights of the product above; False where no constant weights are there."""
    node, index, array = _scaling(model, name)
    factor = array if node.op_type == "Mul" else 1 / array
    if array.size != 1 or not _scale_producer(model, node.input[1 - index], float(factor.reshape(()))):
        return False
    node.op_type = "Identity"
    node.input[:] = [node.input[1 - index]]
    return True


def _scale_producer(model: onnx.ModelProto, name: str, factor: float) -> bool:
    node = next((n for n in model.graph.node if name in n.output), None)
    if node is None or sum(name in n.input for n in model.graph.node) > 1 or len(node.output) > 1:
        return False
    if node.op_type in _CARRIERS:
        return _scale_producer(model, node.input[0], factor)
    if node.op_type == "Add":
        constants = [i for i in (0, 1) if constant_of(model, node.input[i]) is not None]
        if len(constants) != 1 or not _scale_producer(model, node.input[1 - constants[0]], factor):
            return False
        return _scale_input(model, node, constants[0], factor)
    if node.op_type == "MatMul":
        return any(_scale_input(model, node, i, factor) for i in (1, 0))
    if node.op_type in ("Gemm", "Conv"):
        return _scale_input(model, node, 1, factor) and (
            len(node.input) < 3 or _scale_input(model, node, 2, factor)
        )
    return False


def _scale_input(model: onnx.ModelProto, node: onnx.NodeProto, index: int, factor: float) -> bool:
    array = constant_of(model, node.input[index])
    if array is None or array.dtype.kind != "f":
        return False
    node.input[index] = _add_constant(model, "scaled", (array * factor).astype(array.dtype))
    return True


# -- dims ---------------------------------------------------------------------------------------------


def _open_dims(model: onnx.ModelProto, dynamic: Mapping[str, Sequence[int]] | None) -> bool:
    """Dims of inputs without a size; those that had one size keep one name. Results forget theirs."""
    changed = False
    for value in model.graph.input:
        dims = value.type.tensor_type.shape.dim
        default = (0,) if len(dims) > 1 else ()
        for axis in default if dynamic is None else dynamic.get(value.name, ()):
            if dims[axis].HasField("dim_value"):
                changed = True
                dims[axis].dim_param = f"open_{dims[axis].dim_value}"
    if changed:
        _forget_result_shapes(model)
    return changed


def _close_dims(model: onnx.ModelProto, feeds: Mapping[str, np.ndarray]) -> bool:
    changed = False
    for value in model.graph.input:
        for axis, dim in enumerate(value.type.tensor_type.shape.dim):
            if not dim.HasField("dim_value") and isinstance(feeds.get(value.name), np.ndarray):
                changed = True
                dim.dim_value = feeds[value.name].shape[axis]
    if changed:
        _forget_result_shapes(model)
    return changed


def _forget_result_shapes(model: onnx.ModelProto) -> None:
    for value in model.graph.output:
        for axis, dim in enumerate(value.type.tensor_type.shape.dim):
            dim.dim_param = f"{value.name}_{axis}"
    del model.graph.value_info[:]
