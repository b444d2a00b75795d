"""Random families of products, with random steps behind them: merged, they compute the same."""

from __future__ import annotations

from collections import Counter

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper

from graphopt.driver.opt import optimize_model, pipeline
from tests.passes.random_graph import RandomGraph
from tests.rules.proof import is_rounding, plain_runner

KINDS = ("MatMul", "Gemm", "MatMulInteger")
STEPS = ("bias", "same-scalar", "relu", "scaled", "unsqueeze", "own")
ROWS, WIDTHS = 4, (1, 2, 3, 5)


class Family(RandomGraph):
    """One value, several products of it, each with its chain of steps."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.kind = KINDS[seed % len(KINDS)]
        self.outputs: list[str] = []
        self.count = int(self.rng.integers(2, 5))
        self.steps = [str(step) for step in self.rng.choice(STEPS, size=self.rng.integers(0, 4))]
        self.transposed = self.kind == "Gemm" and bool(self.rng.integers(2))

    def floats(self, *shape: int) -> str:
        return self.constant(self.rng.standard_normal(shape).astype(np.float32))

    def build(self) -> onnx.ModelProto:
        x = "x"
        if self.kind == "MatMulInteger":
            self.nodes.append(helper.make_node("DynamicQuantizeLinear", ["x"], ["q", "s", "o"]))
            x = "q"
        else:
            self.nodes.append(helper.make_node("ReduceMax", ["x"], ["s"], keepdims=0))
        for index in range(self.count):
            self.outputs.append(self.member(x, index))
        graph = helper.make_graph(
            self.nodes,
            "family",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", ROWS])],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in self.outputs],
            self.constants,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 23)], ir_version=10)
        return onnx.shape_inference.infer_shapes(model, strict_mode=True)

    def member(self, x: str, index: int) -> str:
        width = int(self.rng.choice(WIDTHS))
        value = self.product(x, width)
        rank = 2
        for step in self.steps:
            value, rank = self.step(step, value, width, rank, index)
        return self.node("Identity", [value])

    def product(self, x: str, width: int) -> str:
        if self.kind == "MatMulInteger":
            weight = self.constant(self.rng.integers(-9, 9, (ROWS, width)).astype(np.int8))
            zero = self.constant(np.asarray(self.rng.integers(-2, 3, () if width < 3 else (width,)), np.int8))
            return self.node("Cast", [self.node("MatMulInteger", [x, weight, "o", zero])], to=1)
        if self.kind == "MatMul":
            return self.node("MatMul", [x, self.floats(ROWS, width)])
        weight = self.floats(width, ROWS) if self.transposed else self.floats(ROWS, width)
        bias = self.floats(*((width,) if width % 2 else (1, width)))
        return self.node("Gemm", [x, weight, bias], transB=int(self.transposed), alpha=0.5)

    def step(self, step: str, value: str, width: int, rank: int, index: int) -> tuple[str, int]:
        behind = (1,) * (rank - 2)
        if step == "bias":
            other = self.floats(*((width, *behind) if self.rng.integers(2) else ()))
            operands = [value, other] if self.rng.integers(2) else [other, value]
            return self.node("Add", operands), rank
        if step == "same-scalar":
            return self.node("Div", [value, "s"]), rank
        if step == "relu":
            return self.node("Relu", [value]), rank
        if step == "scaled":
            return self.node("Mul", [value, self.node("Mul", ["s", self.floats()])]), rank
        if step == "unsqueeze":
            return self.node("Unsqueeze", [value, self.constant(np.array([rank], np.int64))]), rank + 1
        return self.node("Neg" if index else "Abs", [value]), rank


@pytest.mark.parametrize("block", range(4))
def test_merged_products_compute_the_same(block: int) -> None:
    merged: Counter[str] = Counter()
    for seed in range(40 * block, 40 * (block + 1)):
        family = Family(seed)
        model = ir.from_proto(family.build())
        feeds = {"x": family.rng.standard_normal((3, ROWS)).astype(np.float32)}
        before = plain_runner(model).run(feeds)
        names = [value.name for value in model.graph.outputs]
        done = optimize_model(model, pipeline("merge-parallel-products,merge-nested-splits"))
        onnx.checker.check_model(ir.to_proto(done.model), full_check=True)
        products = [node for node in done.model.graph if node.op_type == family.kind]
        merged[family.kind] += len(products) == 1
        assert len(list(done.model.graph)) <= len(family.nodes), seed
        after = plain_runner(done.model).run(feeds)
        assert [value.name for value in done.model.graph.outputs] == names
        for name, expected in before.items():
            exact = family.kind == "MatMulInteger"
            same = np.array_equal(expected, after[name]) if exact else is_rounding(expected, after[name])
            assert same, (seed, family.kind, family.steps)
        again = optimize_model(done.model, pipeline("merge-parallel-products,merge-nested-splits"))
        assert not any(effect.modified for effect in again.effects), seed
    assert all(merged[kind] >= 5 for kind in KINDS), merged
