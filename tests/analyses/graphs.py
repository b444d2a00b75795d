"""Random graphs for property tests."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""For property tests on a machine that others use too."""

UNARY = ("Relu", "Neg", "Abs", "Identity")
BINARY = ("Add", "Mul", "Sub")


@dataclass(frozen=True)
class Step:
    """One node: an operator and the indices of the values it reads."""

    op: str
    reads: tuple[int, ...]


@dataclass(frozen=True)
class Recipe:
    """A graph of float[4] values: inputs, then weights, then one value per step."""

    inputs: int
    weights: tuple[float, ...]
    steps: tuple[Step, ...]
    outputs: tuple[int, ...]

    def build(self, prefix: str = "", order: tuple[int, ...] = (), shape: tuple[int, ...] = (4,)) -> ir.Model:
        """The model; names get ``prefix``; nodes are written in ``order`` (of steps) when given."""
        kind = ir.TensorType(ir.DataType.FLOAT)
        values = [ir.Value(name=f"in{i}", type=kind, shape=ir.Shape(shape)) for i in range(self.inputs)]
        initializers = []
        for i, w in enumerate(self.weights):
            tensor = ir.tensor(np.full(shape, w, np.float32), name=f"{prefix}w{i}")
            value = ir.Value(name=tensor.name, type=kind, shape=ir.Shape(shape), const_value=tensor)
            initializers.append(value)
        values += initializers
        nodes = []
        for i, step in enumerate(self.steps):
            out = ir.Value(name=f"{prefix}v{i}", type=kind, shape=ir.Shape(shape))
            nodes.append(
                ir.Node("", step.op, [values[r] for r in step.reads], outputs=[out], name=f"{prefix}n{i}")
            )
            values.append(out)
        first = self.inputs + len(self.weights)
        outputs = []
        for position, index in enumerate(self.outputs):
            # Every output is a node of its own, so that its name can be fixed.
            out = ir.Value(name=f"out{position}", type=kind, shape=ir.Shape(shape))
            nodes.append(ir.Node("", "Identity", [values[first + index]], outputs=[out]))
            outputs.append(out)
        written = [nodes[i] for i in order] + nodes[len(order) :] if order else nodes
        graph = ir.Graph(
            values[: self.inputs], outputs, nodes=written, initializers=initializers,
            opset_imports={"": 20}, name=f"{prefix}graph",
        )  # fmt: skip
        return ir.Model(graph, ir_version=10)


@st.composite
def recipes(draw: st.DrawFn, most: int = 10) -> Recipe:
    """Graphs of up to ``most`` steps."""
    inputs = draw(st.integers(1, 3))
    weights = tuple(draw(st.lists(st.sampled_from([0.5, 1.0, -0.0, 0.0]), max_size=2)))
    steps: list[Step] = []
    for _ in range(draw(st.integers(1, most))):
        known = inputs + len(weights) + len(steps)
        op = draw(st.sampled_from(UNARY + BINARY))
        arity = 1 if op in UNARY else 2
        steps.append(Step(op, tuple(draw(st.integers(0, known - 1)) for _ in range(arity))))
    outputs = tuple(draw(st.lists(st.integers(0, len(steps) - 1), min_size=1, max_size=2)))
    return Recipe(inputs, weights, tuple(steps), outputs)


@functools.cache
def chain(length: int) -> ir.Model:
    """A chain of Relu nodes on float[4]; shared between tests, so not to be changed."""
    steps = tuple(Step("Relu", (i,)) for i in range(length))
    return Recipe(1, (), steps, (length - 1,)).build()
