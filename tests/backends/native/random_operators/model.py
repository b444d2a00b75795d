"""A drawn operator as a model: operands constant, fed or views of something fed; results with readers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto
from onnx.helper import (
    make_empty_tensor_value_info,
    make_graph,
    make_model,
    make_node,
    make_opsetid,
    make_tensor_value_info,
    np_dtype_to_tensor_dtype,
)
from onnx.numpy_helper import from_array

from tests.backends.native.random_operators.draw import F32, Array, Bound, Case, Draw, Operand


@dataclass(frozen=True)
class Subject:
    """A model and what to feed it.

    Attributes:
        case: its operator.
        model: to compile.
        feeds: for its inputs.
        bounds: of its outputs, by name.
    """

    case: Case
    model: ModelProto
    feeds: Mapping[str, Array]
    bounds: Mapping[str, Bound]


@dataclass
class _Building:
    draw: Draw
    dynamic: bool
    opset: int
    nodes: list[NodeProto] = field(default_factory=list)
    constants: list[TensorProto] = field(default_factory=list)
    inputs: list[ValueInfoProto] = field(default_factory=list)
    feeds: dict[str, Array] = field(default_factory=dict)

    def constant(self, array: Array) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(from_array(np.ascontiguousarray(array).reshape(array.shape), name))
        return name

    def feed(self, array: Array, *, fixed: bool = False) -> str:
        name = f"x{len(self.inputs)}"
        dims = [f"{name}_{i}" if self.dynamic and not fixed else n for i, n in enumerate(array.shape)]
        kind = np_dtype_to_tensor_dtype(array.dtype)
        self.inputs.append(make_tensor_value_info(name, kind, dims))
        self.feeds[name] = np.ascontiguousarray(array).reshape(array.shape)
        return name

    def node(self, op: str, *inputs: str, **attributes: object) -> str:
        name = f"v{len(self.nodes)}"
        self.nodes.append(make_node(op, list(inputs), [name], name=f"n{len(self.nodes)}", **attributes))
        return name

    def view(self, array: Array) -> str:
        """A fed tensor of which ``array`` is a view."""
        rank = array.ndim
        match self.draw.number(0, 5):
            case 0 if rank >= 2:
                perm = [int(i) for i in self.draw.rng.permutation(rank)]
                return self.node("Transpose", self.feed(array.transpose(np.argsort(perm))), perm=perm)
            case 1 if rank >= 1:
                axis, step = self.draw.number(0, rank - 1), self.draw.one_of((1, 2, -1))
                return self._cut(array, axis, step)
            case 2 if rank >= 1 and self.opset >= 18:
                axis = self.draw.number(0, rank - 1)
                whole = self.feed(np.concatenate([array, array], axis))
                first, second = (f"{whole}_{part}" for part in ("first", "second"))
                self.nodes.append(make_node("Split", [whole], [first, second], axis=axis, num_outputs=2))
                if array.shape[axis] == 0 or self.dynamic:
                    self.nodes.pop()
                    return self._cut(array, axis, 1)
                return self.draw.one_of((first, second))
            case 3 if rank >= 1 and self.opset >= 14:
                flat = self.feed(array.reshape(-1))
                return self.node("Reshape", flat, self.constant(np.array(array.shape, np.int64)), allowzero=1)
            case 4:
                return self.node("Identity", self.feed(array))
            case _:
                grown = self.feed(array.reshape((1, *array.shape, 1)))
                return self.node("Squeeze", grown, self.constant(np.array([0, -1])))

    def _cut(self, array: Array, axis: int, step: int) -> str:
        """A slice of something longer, from its second element on or from its last but one."""
        dims = list(array.shape)
        dims[axis] = abs(step) * dims[axis] + 3
        whole = np.zeros(dims, array.dtype)
        n = array.shape[axis]
        first = 1 if step > 0 else dims[axis] - 2
        places = [slice(None)] * array.ndim
        stop: int | None = first + step * n
        assert stop is not None
        places[axis] = slice(first, stop if stop >= 0 else None, step)
        whole[tuple(places)] = array
        start = np.array([1 if step > 0 else -2])
        end = start + step * n
        return self.node(
            "Slice",
            self.feed(whole),
            *(self.constant(np.asarray(v, np.int64)) for v in (start, end, [axis], [step])),
        )


def subject(op_case: Case, draw: Draw) -> Subject:
    """A model around an operator; what stands around it is drawn too."""
    building = _Building(draw, draw.chance(0.4) and not op_case.fixed, op_case.opset)
    names: dict[int, str] = {}
    wanted: list[str] = []
    for operand in op_case.operands:
        if operand is None:
            wanted.append("")
            continue
        if id(operand) not in names:
            names[id(operand)] = _operand(building, operand)
        wanted.append(names[id(operand)])
    results = [f"y{i}" if is_wanted else "" for i, is_wanted in enumerate(op_case.outputs)]
    building.nodes.append(make_node(op_case.op, wanted, results, name="subject", **op_case.attributes))
    present = [name for name in results if name]
    bounds = dict.fromkeys(present, op_case.bound)
    outputs = list(present)
    if draw.chance(0.6) and op_case.unordered is None:
        name = draw.one_of(present)
        reader, kept = _reader(building, op_case, name)
        outputs.append(reader)
        bounds[reader] = op_case.bound
        if not kept:
            outputs.remove(name)
    graph = make_graph(
        building.nodes,
        "g",
        building.inputs,
        [make_empty_tensor_value_info(name) for name in outputs],
        building.constants,
    )
    imports = [make_opsetid("", op_case.opset)]
    model = make_model(graph, opset_imports=imports, ir_version=10)
    return Subject(op_case, _typed(model, op_case), building.feeds, bounds)


def _typed(model: ModelProto, op_case: Case) -> ModelProto:
    """The model with dtypes at its outputs; their shapes stay open."""
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=False)
    for mine, theirs in zip(model.graph.output, inferred.graph.output, strict=True):
        dtype = theirs.type.tensor_type.elem_type
        of = op_case.operands[2 if op_case.op == "OneHot" else 0]
        if not dtype and of is not None:  # onnx gave up
            dtype = np_dtype_to_tensor_dtype(of.array.dtype)
        mine.type.tensor_type.elem_type = dtype
    return model


def _operand(building: _Building, operand: Operand) -> str:
    draw = building.draw
    choice = draw.rng.random()
    if operand.constant or choice < (0.6 if operand.decides else 0.3):
        return building.constant(operand.array)
    if operand.decides:
        return building.feed(operand.array, fixed=True)
    if choice < 0.6:
        return building.feed(operand.array)
    if choice < 0.9:
        return building.view(operand.array)
    if operand.array.dtype == F32:  # something computed, which the operator may overwrite
        return (
            building.node("Abs", building.node("Neg", building.feed(operand.array)))
            if (not np.signbit(operand.array).any())
            else building.node("Neg", building.feed(-operand.array))
        )
    return building.feed(operand.array)


def _reader(building: _Building, op_case: Case, name: str) -> tuple[str, bool]:
    """Something that reads a result, and whether the result leaves the model as well."""
    draw = building.draw
    kept = draw.chance()
    match draw.number(0, 4):
        case 0:
            return building.node("Identity", name), kept
        case 1:
            return building.node(
                "Concat",
                building.node("Unsqueeze", name, building.constant(np.array([0]))),
                building.node("Unsqueeze", name, building.constant(np.array([0]))),
                axis=0,
            ), kept
        case 2:
            return building.node("Transpose", name), kept
        case 3:
            return building.node("Reshape", name, building.constant(np.array([-1]))), kept
        case _:
            grown = building.node("Unsqueeze", name, building.constant(np.array([0])))
            return building.node("Squeeze", grown, building.constant(np.array([0]))), kept
