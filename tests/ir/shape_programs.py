"""Random programs that compute with shapes, as exporters write them: for property tests."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
from hypothesis import strategies as st
from onnx import TensorProto, helper

from graphopt.ir.shapes import infer_shapes

DIMS = ("N", 3, "M", 4)
ELEMENTWISE = ("Add", "Sub", "Mul", "Min", "Max", "Equal", "Less", "GreaterOrEqual")


@dataclass
class Program:
    """A model under construction: integer scalars and vectors, computed from the shape of x and from ``fed``.

    Attributes:
        scalars: names of int64 scalars.
        vectors: names and lengths of int64 vectors.
        flags: names and lengths of boolean vectors.
    """

    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)
    scalars: list[str] = field(default_factory=list)
    vectors: list[tuple[str, int]] = field(default_factory=list)
    flags: list[tuple[str, int]] = field(default_factory=list)
    results: list[str] = field(default_factory=list)

    def add(self, op_type: str, inputs: list[str], **attributes: object) -> str:
        """One more node; returns the name of its output."""
        name = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(op_type, inputs, [name], name=f"n_{name}", **attributes))
        return name

    def constant(self, values: object) -> str:
        """One more initializer of int64."""
        name = f"c{len(self.constants)}"
        self.constants.append(onnx.numpy_helper.from_array(np.asarray(values, np.int64), name))
        return name

    def model(self) -> ir.Model:
        """The finished model: every value the program made is an output."""
        inputs = [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, list(DIMS)),
            helper.make_tensor_value_info("fed", TensorProto.INT64, [2]),
        ]
        flags = {name for name, _ in self.flags}
        given = {"fed", *(tensor.name for tensor in self.constants)}
        outputs = [
            helper.make_tensor_value_info(
                name,
                TensorProto.FLOAT
                if name in self.results
                else TensorProto.BOOL
                if name in flags
                else TensorProto.INT64,
                None,
            )
            for name in dict.fromkeys([*self.scalars, *(n for n, _ in self.vectors), *flags, *self.results])
            if name not in given
        ]
        graph = helper.make_graph(self.nodes, "program", inputs, outputs, self.constants)
        proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 23)], ir_version=10)
        model = ir.from_proto(proto)
        infer_shapes(model)
        return model


@st.composite
def programs(draw: st.DrawFn, steps: int = 12) -> Program:
    """A program of a few steps that runs for every size of the dims."""
    program = Program()
    program.vectors += [(program.add("Shape", ["x"]), 4), ("fed", 2)]
    program.scalars.append(program.constant(draw(st.integers(-2, 5))))
    program.vectors.append((program.constant(draw(st.lists(st.integers(-1, 6), min_size=2, max_size=4))), 0))
    name, _ = program.vectors.pop()
    program.vectors.append((name, program.constants[-1].dims[0]))
    for _ in range(draw(st.integers(1, steps))):
        draw(st.sampled_from(STEPS))(program, draw)
    return program


def _vector(program: Program, draw: st.DrawFn) -> tuple[str, int]:
    return draw(st.sampled_from(program.vectors))


def _shape(program: Program, draw: st.DrawFn) -> None:
    start, end = draw(st.integers(-4, 3)), draw(st.sampled_from([None, 2, 4, -1]))
    length = len(DIMS[start:end])
    attributes = {"start": start} if end is None else {"start": start, "end": end}
    program.vectors.append((program.add("Shape", ["x"], **attributes), length))


def _gather(program: Program, draw: st.DrawFn) -> None:
    name, length = _vector(program, draw)
    if length == 0:
        return
    if draw(st.booleans()):
        index = program.constant(draw(st.integers(-length, length - 1)))
        program.scalars.append(program.add("Gather", [name, index]))
    else:
        picked = draw(st.lists(st.integers(-length, length - 1), min_size=1, max_size=3))
        program.vectors.append((program.add("Gather", [name, program.constant(picked)]), len(picked)))


def _slice(program: Program, draw: st.DrawFn) -> None:
    name, length = _vector(program, draw)
    start, end = draw(st.integers(-5, 4)), draw(st.sampled_from([1, 2, -1, 2**63 - 1]))
    bounds = [program.constant([start]), program.constant([end])]
    program.vectors.append((program.add("Slice", [name, *bounds]), len(range(length)[start:end])))


def _concat(program: Program, draw: st.DrawFn) -> None:
    parts = [_vector(program, draw) for _ in range(draw(st.integers(1, 3)))]
    total = sum(length for _, length in parts)
    if total <= 8:
        program.vectors.append((program.add("Concat", [name for name, _ in parts], axis=0), total))


def _unsqueeze(program: Program, draw: st.DrawFn) -> None:
    scalar = draw(st.sampled_from(program.scalars))
    program.vectors.append((program.add("Unsqueeze", [scalar, program.constant([0])]), 1))


def _scalars(program: Program, draw: st.DrawFn) -> None:
    a, b = draw(st.sampled_from(program.scalars)), draw(st.sampled_from(program.scalars))
    program.scalars.append(program.add(draw(st.sampled_from(ELEMENTWISE[:5])), [a, b]))


def _quotient(program: Program, draw: st.DrawFn) -> None:
    divisor = program.constant(draw(st.sampled_from([-3, 1, 2, 4])))
    operator = draw(st.sampled_from(["Div", "Mod"]))
    program.scalars.append(program.add(operator, [draw(st.sampled_from(program.scalars)), divisor]))


def _elementwise(program: Program, draw: st.DrawFn) -> None:
    a, length = _vector(program, draw)
    b = draw(st.sampled_from([n for n, size in program.vectors if size == length] + program.scalars))
    operator = draw(st.sampled_from(ELEMENTWISE))
    made = program.flags if operator in ELEMENTWISE[5:] else program.vectors
    made.append((program.add(operator, [a, b]), length))


def _where(program: Program, draw: st.DrawFn) -> None:
    if not program.flags:
        return
    flag, length = draw(st.sampled_from(program.flags))
    same = [name for name, size in program.vectors if size == length] + program.scalars
    yes, no = draw(st.sampled_from(same)), draw(st.sampled_from(same))
    program.vectors.append((program.add("Where", [flag, yes, no]), length))


def _logic(program: Program, draw: st.DrawFn) -> None:
    if not program.flags:
        return
    a, length = draw(st.sampled_from(program.flags))
    b = draw(st.sampled_from([name for name, size in program.flags if size == length]))
    operator = draw(st.sampled_from(["And", "Or", "Not"]))
    program.flags.append((program.add(operator, [a] if operator == "Not" else [a, b]), length))


def _reduce(program: Program, draw: st.DrawFn) -> None:
    name, length = _vector(program, draw)
    if length:
        operator = draw(st.sampled_from(["ReduceProd", "ReduceSum", "ReduceMax", "ReduceMin"]))
        program.scalars.append(program.add(operator, [name], keepdims=0))


def _cast(program: Program, draw: st.DrawFn) -> None:
    name, length = _vector(program, draw)
    narrow = program.add("Cast", [name], to=TensorProto.INT32)
    program.vectors.append((program.add("Cast", [narrow], to=TensorProto.INT64), length))


STEPS = (
    _shape,
    _gather,
    _gather,
    _slice,
    _concat,
    _unsqueeze,
    _scalars,
    _quotient,
    _elementwise,
    _where,
    _logic,
    _reduce,
    _cast,
)


def run(model: ir.Model, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:  # type: ignore[type-arg]
    """The outputs as ONNX Runtime computes them without optimising."""
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    data = ir.to_proto(model).SerializeToString()
    session = ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_outputs()]
    known = {value.name for value in session.get_inputs()}
    return dict(zip(names, session.run(None, {k: v for k, v in feeds.items() if k in known}), strict=True))


def feeds_of(n: int, m: int, seed: int) -> dict[str, np.ndarray]:  # type: ignore[type-arg]
    """x of dims N and M, and two integers."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, 3, m, 4)).astype(np.float32)
    return {"x": x, "fed": rng.integers(-3, 9, 2).astype(np.int64)}
