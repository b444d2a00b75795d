"""Cells written out gate by gate, in the spellings exporters have for them, become one operator."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import product

import numpy as np
import numpy.typing as npt
import onnx.numpy_helper
import onnx.parser
import onnx_ir as ir
import pytest

from graphopt.backends.onnxruntime.runner import make_runner
from graphopt.driver.opt import optimize_model, pipeline
from tests.rules.proof import is_rounding

PIPELINE = "canonical,repeat(recurrent,simplify,fold,infer-shapes)"
BATCH, INPUT, STATE = 2, 3, 4
Array = npt.NDArray[np.float32]


class Sketch:
    """ONNX text with random weights, written line by line."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.lines: list[str] = []
        self.weights: dict[str, Array] = {}

    def weight(self, name: str, *shape: int) -> str:
        """A random weight; the same under the same name."""
        if name not in self.weights:
            self.weights[name] = (self.rng.standard_normal(shape) * 0.4).astype(np.float32)
        return name

    def product(self, x: str, name: str, rows: int, columns: int, style: str) -> str:
        """x times a weight, plus a bias."""
        bias, result = self.weight(f"{name}b", columns), f"p{len(self.lines)}"
        if style == "gemm":
            weight = self.weight(f"{name}t", columns, rows)
            self.lines.append(f"{result} = Gemm <transB = 1> ({x}, {weight}, {bias})")
            return result
        self.lines.append(f"m{result} = MatMul ({x}, {self.weight(name, rows, columns)})")
        self.lines.append(f"{result} = Add ({bias}, m{result})")
        return result

    def parts(self, value: str, count: int, style: str) -> list[str]:
        """Equal parts of ``value`` along its last axis."""
        names = [f"g{len(self.lines)}_{index}" for index in range(count)]
        if style == "split":
            self.lines.append(f"{', '.join(names)} = Split <axis = 1, num_outputs = {count}> ({value})")
            return names
        for index, name in enumerate(names):
            bounds = [f"n{number}" for number in (index * STATE, (index + 1) * STATE)]
            self.lines.append(f"{name} = Slice ({value}, {', '.join(bounds)}, n1)")
        return names

    def model(self, inputs: Mapping[str, Sequence[int]], outputs: Sequence[str]) -> ir.Model:
        """The model; numbers are constants by the name of n and the number."""
        declared = ", ".join(f"float[{','.join(map(str, dims))}] {name}" for name, dims in inputs.items())
        results = ", ".join(f"float[{BATCH}, {STATE}] {name}" for name in outputs)
        numbers = ", ".join(f"int64[1] n{n} = {{{n}}}" for n in (1, *range(0, 5 * STATE, STATE)))
        header = '<ir_version: 10, opset_import: ["": 21]>'
        text = f"{header} g ({declared}) => ({results}) <{numbers}> {{ {' '.join(self.lines)} }}"
        model = onnx.parser.parse_model(text)
        model.graph.initializer.extend(
            onnx.numpy_helper.from_array(array, name) for name, array in self.weights.items()
        )
        return ir.from_proto(model)

    def feeds(self, inputs: Mapping[str, Sequence[int]]) -> dict[str, Array]:
        """Random values of the inputs."""
        return {name: self.rng.standard_normal(dims).astype(np.float32) for name, dims in inputs.items()}


def lstm(
    sketch: Sketch, x: str, h: str, c: str, t: int, sums: str, parts: str, order: str
) -> tuple[str, str]:
    """One step; the gates stand in ``order``."""
    if sums == "joined":
        sketch.lines.append(f"j{t} = Concat <axis = 1> ({x}, {h})")
        total = sketch.product(f"j{t}", "k", INPUT + STATE, 4 * STATE, "matmul")
    else:
        first = sketch.product(x, "w", INPUT, 4 * STATE, sums)
        second = sketch.product(h, "r", STATE, 4 * STATE, sums)
        total = f"s{t}"
        sketch.lines.append(f"{total} = Add ({first}, {second})")
    gate = dict(zip(order, sketch.parts(total, 4, parts), strict=True))
    sketch.lines += [
        f"i{t} = Sigmoid ({gate['i']})",
        f"f{t} = Sigmoid ({gate['f']})",
        f"u{t} = Tanh ({gate['g']})",
        f"o{t} = Sigmoid ({gate['o']})",
        f"a{t} = Mul (f{t}, {c})",
        f"b{t} = Mul (u{t}, i{t})",
        f"c{t} = Add (b{t}, a{t})",
        f"v{t} = Tanh (c{t})",
        f"h{t} = Mul (o{t}, v{t})",
    ]
    return f"h{t}", f"c{t}"


def gru(sketch: Sketch, x: str, h: str, t: int, sums: str, parts: str, blend: str) -> str:
    """One step, reset after the product."""
    entered = sketch.parts(sketch.product(x, "w", INPUT, 3 * STATE, sums), 3, parts)
    state = sketch.parts(sketch.product(h, "r", STATE, 3 * STATE, sums), 3, parts)
    sketch.lines += [
        f"a{t} = Add ({entered[0]}, {state[0]})",
        f"r{t} = Sigmoid (a{t})",
        f"b{t} = Add ({state[1]}, {entered[1]})",
        f"z{t} = Sigmoid (b{t})",
        f"d{t} = Mul ({state[2]}, r{t})",
        f"e{t} = Add ({entered[2]}, d{t})",
        f"n{t}n = Tanh (e{t})",
    ]
    if blend == "difference":
        sketch.lines += [f"k{t} = Sub ({h}, n{t}n)", f"l{t} = Mul (k{t}, z{t})", f"h{t} = Add (l{t}, n{t}n)"]
    else:
        sketch.lines += [
            f"one{t} = Constant <value_float = 1.0> ()",
            f"q{t} = Sub (one{t}, z{t})",
            f"k{t} = Mul (q{t}, n{t}n)",
            f"l{t} = Mul (z{t}, {h})",
            f"h{t} = Add (k{t}, l{t})",
        ]
    return f"h{t}"


def check(model: ir.Model, feeds: Mapping[str, Array]) -> Counter[str]:
    """Optimise and compare; the operators that are left."""
    before = make_runner(model, optimise=False, threads=1).run(feeds)
    done = optimize_model(model, pipeline(PIPELINE)).model
    after = make_runner(done, optimise=False, threads=1).run(feeds)
    assert list(after) == list(before)
    assert all(is_rounding(before[name], after[name]) for name in before)
    again = optimize_model(done, pipeline(PIPELINE))
    assert [n.op_type for n in again.model.graph] == [n.op_type for n in done.graph]
    return Counter(node.op_type for node in done.graph)


@pytest.mark.parametrize(
    ("sums", "parts", "order"),
    [*product(("gemm", "matmul"), ("split", "slice"), ("ifgo", "iofg")), ("joined", "split", "igfo")],
)
def test_an_unrolled_lstm_is_one_operator(sums: str, parts: str, order: str) -> None:
    sketch = Sketch(7)
    inputs = {"x0": (BATCH, INPUT), "x1": (BATCH, INPUT), "x2": (BATCH, INPUT)}
    inputs |= {"h": (BATCH, STATE), "c": (BATCH, STATE)}
    h, c = "h", "c"
    for t in range(3):
        h, c = lstm(sketch, f"x{t}", h, c, t, sums, parts, order)
    left = check(sketch.model(inputs, ["h0", "h2", "c2"]), sketch.feeds(inputs))
    assert (left["LSTM"], left["Sigmoid"], left["Tanh"]) == (1, 0, 0), left


@pytest.mark.parametrize(
    ("sums", "parts", "blend"), list(product(("gemm", "matmul"), ("split", "slice"), ("difference", "parts")))
)
def test_an_unrolled_gru_is_one_operator(sums: str, parts: str, blend: str) -> None:
    sketch = Sketch(8)
    inputs = {"x0": (BATCH, INPUT), "x1": (BATCH, INPUT), "h": (BATCH, STATE)}
    h = gru(sketch, "x0", "h", 0, sums, parts, blend)
    h = gru(sketch, "x1", h, 1, sums, parts, blend)
    left = check(sketch.model(inputs, ["h0", "h1"]), sketch.feeds(inputs))
    assert (left["GRU"], left["Sigmoid"], left["Tanh"]) == (1, 0, 0), left


def test_a_cell_state_that_is_read_in_between_keeps_the_steps_apart() -> None:
    sketch = Sketch(9)
    inputs = dict.fromkeys(("x0", "x1"), (BATCH, INPUT)) | dict.fromkeys(("h", "c"), (BATCH, STATE))
    h, c = lstm(sketch, "x0", "h", "c", 0, "gemm", "split", "ifgo")
    lstm(sketch, "x1", h, c, 1, "gemm", "split", "ifgo")
    left = check(sketch.model(inputs, ["c0", "h1"]), sketch.feeds(inputs))
    assert left["LSTM"] == 2


def test_a_step_whose_input_is_the_output_before_stays_a_step() -> None:
    sketch = Sketch(10)
    inputs = {"x0": (BATCH, INPUT), "h": (BATCH, STATE), "c": (BATCH, STATE)}
    h, c = lstm(sketch, "x0", "h", "c", 0, "gemm", "split", "ifgo")
    fed = sketch.product(h, "out", STATE, INPUT, "gemm")
    lstm(sketch, fed, h, c, 1, "gemm", "split", "ifgo")
    left = check(sketch.model(inputs, ["h1"]), sketch.feeds(inputs))
    assert left["LSTM"] == 2


def test_two_followers_of_one_step_are_not_merged_into_it() -> None:
    sketch = Sketch(11)
    inputs = dict.fromkeys(("x0", "x1", "x2"), (BATCH, INPUT)) | {"h": (BATCH, STATE)}
    h = gru(sketch, "x0", "h", 0, "gemm", "split", "parts")
    gru(sketch, "x1", h, 1, "gemm", "split", "parts")
    gru(sketch, "x2", h, 2, "gemm", "split", "parts")
    left = check(sketch.model(inputs, ["h1", "h2"]), sketch.feeds(inputs))
    assert left["GRU"] == 3


def test_input_and_state_of_the_same_size_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "INPUT", STATE)
    sketch = Sketch(12)
    inputs = dict.fromkeys(("x0", "x1", "x2", "h", "c"), (BATCH, STATE))
    h, c = "h", "c"
    for t in range(3):
        h, c = lstm(sketch, f"x{t}", h, c, t, "gemm", "split", "ifgo")
    left = check(sketch.model(inputs, ["h2"]), sketch.feeds(inputs))
    assert left["LSTM"] == 1
