"""Random graphs of transpositions and operators that do not mind them: the same results with fewer."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx_ir as ir
import pytest

from graphopt.driver.opt import optimize_model, pipeline
from graphopt.ir.levels import Level
from graphopt.ir.verify import check
from graphopt.passes.simplify._transposed_region import perm_of
from graphopt.rewrite.infer import infer_outputs
from tests.rules import proof

OPSET = 23
SEEDS = 100


KINDS = (
    *("transpose",) * 3,
    *("unary", "binary", "constant", "axis", "concat", "reduce", "slice", "pad", "squeeze", "unsqueeze"),
)


class _Builder:
    """One random graph: a pool of values, to which an operator at a time is added."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.nodes: list[ir.Node] = []
        self.constants: list[ir.Value] = []
        size = (2, 3, 4)
        self.inputs = [self._value(name, size) for name in ("a", "b")]
        self.feeds = {name: self.rng.standard_normal(size).astype(np.float32) for name in ("a", "b")}
        self.pool = list(self.inputs)

    def _value(self, name: str, size: tuple[int, ...]) -> ir.Value:
        return ir.Value(name=name, shape=ir.Shape(size), type=ir.TensorType(ir.DataType.FLOAT))

    def _constant(self, array: object, dtype: type = np.int64) -> ir.Value:
        tensor = ir.tensor(np.asarray(array, dtype))
        shape = ir.Shape(tensor.shape.numpy())
        name = f"c{len(self.constants)}"
        value = ir.Value(name=name, shape=shape, type=ir.TensorType(tensor.dtype), const_value=tensor)
        self.constants.append(value)
        return value

    def _node(self, op_type: str, inputs: list[ir.Value], *attributes: ir.Attr, outputs: int = 1) -> None:
        made = [ir.Value(name=f"v{len(self.nodes)}_{i}") for i in range(outputs)]
        node = ir.Node("", op_type, inputs, attributes, outputs=made, name=f"n{len(self.nodes)}")
        infer_outputs(node, OPSET)
        self.nodes.append(node)
        self.pool.extend(made)

    def add(self) -> None:
        """One more operator."""
        x = self.pool[-1 - int(self.rng.integers(min(4, len(self.pool))))]
        shape = tuple(int(d) for d in x.shape.numpy())
        rank = len(shape)
        axis = int(self.rng.integers(-rank, rank))
        kind = self.rng.choice(KINDS)
        if kind == "transpose":
            perm = [int(p) for p in self.rng.permutation(rank)]
            swap = [*range(rank - 2), rank - 1, rank - 2]
            perm = perm if perm != sorted(perm) else swap
            self._node("Transpose", [x], ir.AttrInt64s("perm", swap if self.rng.random() < 0.5 else perm))
        elif kind == "squeeze" and rank > 2:
            self._node("ReduceMax", [x, self._constant([axis])], ir.AttrInt64("keepdims", 0))
        elif kind == "unsqueeze" and rank < 4:
            self._node("Unsqueeze", [x, self._constant([axis])])
        elif kind == "unary":
            self._node(str(self.rng.choice(["Relu", "Neg", "Abs", "Floor"])), [x])
        elif kind == "binary":
            same = [v for v in self.pool if v.shape == x.shape]
            self._node(
                str(self.rng.choice(["Add", "Mul", "Max"])), [x, same[int(self.rng.integers(len(same)))]]
            )
        elif kind == "constant":
            part = shape[int(self.rng.integers(rank)) :]
            size = [d if self.rng.random() < 0.7 else 1 for d in part]
            array = self.rng.standard_normal(size)
            self._node("Sub", [self._constant(array, np.float32), x])
        elif kind == "axis":
            self._node("Softmax", [x], ir.AttrInt64("axis", axis))
        elif kind == "concat":
            same = [v for v in self.pool if v.shape == x.shape]
            self._node("Concat", [x, same[0]], ir.AttrInt64("axis", axis))
        elif kind == "reduce":
            self._node("ReduceMax", [x, self._constant([axis])], ir.AttrInt64("keepdims", 1))
        elif kind == "slice":
            self._node("Slice", [x, self._constant([0]), self._constant([2]), self._constant([axis])])
        elif kind == "pad" and max(shape) < 12:
            pads = [int(p) for p in self.rng.integers(0, 2, 2 * rank)]
            self._node("Pad", [x, self._constant(pads)])

    def model(self) -> ir.Model:
        """The graph, with everything that nothing reads as an output."""
        for _ in range(14):
            self.add()
        outputs = [v for n in self.nodes for v in n.outputs if not v.uses() or self.rng.random() < 0.05]
        graph = ir.Graph(
            self.inputs,
            outputs,
            nodes=self.nodes,
            initializers=self.constants,
            opset_imports={"": OPSET},
            name="g",
        )
        return ir.Model(graph, ir_version=10)


def _transposes(model: ir.Model) -> int:
    """Those that move something: one that does not waits for another pass."""
    perms = [perm for node in model.graph if (perm := perm_of(node)) is not None]
    return sum(perm != tuple(range(len(perm))) for perm in perms)


def _passes() -> Iterator[tuple[str, int]]:
    for passes in ("sink-transposes", "repeat(simplify)"):
        yield from ((passes, part) for part in range(4))


@pytest.mark.parametrize(("passes", "part"), list(_passes()))
def test_random_graphs(passes: str, part: int) -> None:
    fired = 0
    for seed in range(part * SEEDS // 4, (part + 1) * SEEDS // 4):
        builder = _Builder(seed)
        model = builder.model()
        before = proof.run(model, builder.feeds)
        names = [value.name for value in model.graph.outputs]
        count = _transposes(model)
        done = optimize_model(model, pipeline(passes))
        check(done.model, Level.CANONICAL)
        assert [value.name for value in done.model.graph.outputs] == names, seed
        after = proof.run(done.model, builder.feeds)
        assert all(proof.is_rounding(before[str(name)], after[str(name)]) for name in names), seed
        changed = any(effect.modified for effect in done.effects)
        if passes == "sink-transposes":
            assert _transposes(done.model) < count if changed else _transposes(done.model) == count, seed
            assert not any(effect.modified for effect in optimize_model(done.model, pipeline(passes)).effects)
        assert len(done.model.graph) <= len(builder.nodes), seed
        fired += changed
    assert fired >= SEEDS // 4 * 0.1
