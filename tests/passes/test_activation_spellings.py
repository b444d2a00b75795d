"""Activations are recognised whatever the order of steps and operands, and only with the right constants."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import onnx_ir as ir
import pytest

from graphopt.driver.opt import optimize_model, pipeline
from graphopt.rewrite.infer import infer_outputs
from graphopt.rewrite.proof import check
from tests.rules import proof

SEEDS = range(8)


class Writer:
    """Writes one formula down in one of many ways.

    Args:
        seed: picks the way.
        dtype: of x and of the constants.
        slip: what one of the constants is multiplied with; 1 for a right formula.
    """

    def __init__(self, seed: int, dtype: ir.DataType, slip: float = 1.0) -> None:
        self.rng = np.random.default_rng([seed, int(dtype)])
        self.dtype = dtype
        self.slip = slip
        self.nodes: list[ir.Node] = []
        self.constants: list[ir.Value] = []
        self.x = ir.Value(name="x", shape=ir.Shape(["N", 7]), type=ir.TensorType(dtype))

    def flag(self) -> bool:
        """One of two ways."""
        return bool(self.rng.integers(2))

    def number(self, value: float) -> ir.Value:
        """A constant, as a scalar or a vector of one."""
        value, self.slip = value * self.slip, 1.0
        array = np.asarray(value).astype(self.dtype.numpy()).reshape(() if self.flag() else (1,))
        made = ir.Value(
            name=f"c{len(self.constants)}",
            shape=ir.Shape(array.shape),
            type=ir.TensorType(self.dtype),
            const_value=ir.tensor(array),
        )
        self.constants.append(made)
        return made

    def call(self, op_type: str, *inputs: ir.Value | None) -> ir.Value:
        """One node."""
        output = ir.Value(name=f"v{len(self.nodes)}")
        node = ir.Node("", op_type, list(inputs), outputs=[output], name=f"n{len(self.nodes)}")
        infer_outputs(node, 23)
        self.nodes.append(node)
        return output

    def pair(self, op_type: str, a: ir.Value, b: ir.Value) -> ir.Value:
        """A commutative operator, its operands in any order."""
        return self.call(op_type, *((a, b) if self.flag() else (b, a)))

    def scale(self, a: ir.Value, factor: float) -> ir.Value:
        """factor · a, as a product, a quotient, or with two minus signs."""
        way = self.rng.integers(3)
        if way == 0:
            return self.call("Div", a, self.number(1 / factor))
        if way == 1:
            return self.call("Neg", self.pair("Mul", a, self.number(-factor)))
        return self.pair("Mul", a, self.number(factor))

    def shift(self, a: ir.Value, offset: float) -> ir.Value:
        """a + offset, as a sum or a difference."""
        if self.flag():
            return self.call("Sub", a, self.number(-offset))
        return self.pair("Add", a, self.number(offset))

    def product(self, *factors: ir.Value | float) -> ir.Value:
        """The factors multiplied in any order, numbers wherever they fit."""
        values = [factor for factor in factors if isinstance(factor, ir.Value)]
        numbers = [factor for factor in factors if not isinstance(factor, ir.Value)]
        self.rng.shuffle(values)  # type: ignore[arg-type]
        while len(values) > 1 or numbers:
            if numbers and (len(values) == 1 or self.flag()):
                index = int(self.rng.integers(len(values)))
                values[index] = self.scale(values[index], numbers.pop())
            else:
                values.append(self.pair("Mul", values.pop(0), values.pop(0)))
        return values[0]

    def model(self, y: ir.Value) -> ir.Model:
        """The model that computes ``y`` from x."""
        y.name = "y"
        graph = ir.Graph(
            [self.x],
            [y],
            nodes=self.nodes,
            initializers=self.constants,
            opset_imports={"": 23},
            name="g",
        )
        return ir.Model(graph, ir_version=10)


def _gelu(w: Writer) -> ir.Value:
    t = w.call("Erf", w.scale(w.x, math.sqrt(0.5)))
    if w.flag():
        return w.product(w.x, w.shift(t, 1.0), 0.5)
    return w.pair("Add", w.scale(w.x, 0.5), w.product(w.x, t, 0.5))


def _gelu_tanh(w: Writer) -> ir.Value:
    k, c = math.sqrt(2 / math.pi), 0.044715
    way = w.rng.integers(4)
    if way == 0:
        inner = w.product(w.pair("Add", w.x, w.product(w.x, w.x, w.x, c)), k)
    elif way == 1:
        inner = w.product(w.x, w.shift(w.product(w.x, w.x, c), 1.0), k)
    elif way == 2:
        inner = w.pair("Add", w.scale(w.x, k), w.product(w.x, w.x, w.x, k * c))
    else:
        inner = w.product(w.pair("Add", w.x, w.scale(w.call("Pow", w.x, w.number(3.0)), c)), k)
    return w.product(w.x, w.shift(w.call("Tanh", inner), 1.0), 0.5)


def _silu(w: Writer) -> ir.Value:
    return w.product(w.x, w.call("Sigmoid", w.x))


def _quick_gelu(w: Writer) -> ir.Value:
    return w.product(w.x, w.call("Sigmoid", w.scale(w.x, 1.702)))


def _ramp(w: Writer, *factors: ir.Value) -> ir.Value:
    zero, end = (np.asarray(v).astype(w.dtype.numpy()) for v in (0.0, w.rng.choice([1.0, 6.0])))
    bounds = []
    for array in (zero, end):
        bounds.append(w.number(1.0))
        bounds[-1].const_value, bounds[-1].shape = ir.tensor(array), ir.Shape([])
    whole = w.shift(w.scale(w.x, float(end) / 6), float(end) / 2)
    clipped = w.call("Clip", whole, *bounds)
    return w.product(clipped, *factors, *((1 / float(end),) if end != 1 else ()))


def _hard_swish(w: Writer) -> ir.Value:
    return _ramp(w, w.x)


def _hard_sigmoid(w: Writer) -> ir.Value:
    return _ramp(w)


def _sigmoid(w: Writer) -> ir.Value:
    t = w.call("Tanh", w.scale(w.x, 0.5))
    return w.shift(w.scale(t, 0.5), 0.5) if w.flag() else w.scale(w.shift(t, 1.0), 0.5)


FORMS: dict[str, tuple[Callable[[Writer], ir.Value], str, bool]] = {
    "recognize-gelu": (_gelu, "Gelu", True),
    "recognize-gelu of tanh": (_gelu_tanh, "Gelu", True),
    "recognize-silu": (_silu, "Silu", False),
    "recognize-quick-gelu": (_quick_gelu, "QuickGelu", False),
    "recognize-hard-swish": (_hard_swish, "HardSwish", False),
    "recognize-hard-sigmoid": (_hard_sigmoid, "HardSigmoid", False),
    "recognize-sigmoid": (_sigmoid, "Sigmoid", True),
}
"""How each is written, what it becomes, and whether every one of its constants matters."""


def _recognised(model: ir.Model, name: str) -> ir.Model:
    return optimize_model(model, pipeline(name.partition(" ")[0])).model


@pytest.mark.parametrize("dtype", [ir.DataType.FLOAT16, ir.DataType.FLOAT], ids=lambda dtype: dtype.name)
@pytest.mark.parametrize("name", FORMS)
def test_every_spelling_is_recognised_and_computes_the_same(name: str, dtype: ir.DataType) -> None:
    write, wanted, _ = FORMS[name]
    for seed in SEEDS:
        writer = Writer(seed, dtype)
        model = writer.model(write(writer))
        check(model)
        feeds = {"x": (4 * writer.rng.standard_normal((3, 7))).astype(dtype.numpy())}
        before = proof.run(model, feeds)
        after = _recognised(model, name)
        assert [node.op_type for node in after.graph] == [wanted], (seed, [n.op_type for n in model.graph])
        check(after)
        assert proof.is_rounding(before["y"], proof.run(after, feeds)["y"]), seed


@pytest.mark.parametrize("name", [name for name, (_, _, strict) in FORMS.items() if strict])
def test_a_constant_beside_the_right_one_is_no_spelling(name: str) -> None:
    write, wanted, _ = FORMS[name]
    for seed in SEEDS:
        writer = Writer(seed, ir.DataType.FLOAT, slip=1.0001)
        model = writer.model(write(writer))
        kept = [node.op_type for node in _recognised(model, name).graph]
        assert wanted not in kept or kept[-1] == "Mul", (seed, kept)


@pytest.mark.parametrize("name", FORMS)
def test_an_inner_value_that_is_read_elsewhere_is_not_computed_twice(name: str) -> None:
    """With the function's value as an output there is nothing to gain: its node has to stay."""
    write, _, _ = FORMS[name]
    writer = Writer(1, ir.DataType.FLOAT)
    y = write(writer)
    function = next(n for n in writer.nodes if n.op_type in ("Erf", "Tanh", "Sigmoid", "Clip"))
    if function.outputs[0] is y:
        pytest.skip("in this spelling the function's value is the result")
    model = writer.model(y)
    model.graph.outputs.append(function.outputs[0])
    before = [node.op_type for node in model.graph]
    assert [node.op_type for node in _recognised(model, name).graph] == before
