"""Random constants behind the parts of a split product: absorbed, they compute the same."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper

from graphopt.driver.opt import optimize_model, pipeline
from tests.passes.random_graph import RandomGraph
from tests.rules.proof import is_rounding, plain_runner

HOSTS = ("Conv", "grouped", "ConvTranspose", "Gemm", "MatMul", "MatMul+Add")
PARTS = (1, 2, 3)
CHANNELS = sum(PARTS)


class Graph(RandomGraph):
    """One linear operator, perhaps a few moves of its channels, a Split, and constants behind it."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.host = HOSTS[seed % len(HOSTS)]

    def floats(self, *shape: int) -> str:
        return self.constant(self.rng.uniform(0.5, 2.0, shape).astype(np.float32))

    def linear(self) -> tuple[str, list[int], int]:
        """The operator's result, its shape and the axis of its channels."""
        bias = [self.floats(CHANNELS)] if self.rng.integers(2) else []
        if self.host in ("Conv", "grouped"):
            group = 1 if self.host == "Conv" else 2
            weight = self.floats(CHANNELS, 4 // group, 1, 3)
            value = self.node("Conv", ["image", weight, *bias], group=group, pads=[0, 1, 0, 1])
            return value, [2, CHANNELS, 2, 5], 1
        if self.host == "ConvTranspose":
            weight = self.floats(4, CHANNELS // 2, 1, 1)
            value = self.node("ConvTranspose", ["image", weight, *bias], group=2)
            return value, [2, CHANNELS, 2, 5], 1
        if self.host == "Gemm":
            flag = int(self.rng.integers(2))
            weight = self.floats(*((CHANNELS, 4) if flag else (4, CHANNELS)))
            value = self.node("Gemm", ["rows", weight, *bias], transB=flag, beta=2.0, alpha=0.5)
            return value, [2, CHANNELS], 1
        value = self.node("MatMul", ["stack", self.floats(4, CHANNELS)])
        if self.host == "MatMul+Add":
            operands = [value, self.floats(CHANNELS)]
            value = self.node("Add", operands if self.rng.integers(2) else operands[::-1])
        return value, [2, 3, CHANNELS], 2

    def moved(self, value: str, shape: list[int], axis: int) -> tuple[str, list[int], int]:
        """The channels somewhere else, still along one axis."""
        kind = self.rng.integers(5)
        if kind == 0 and axis == 1 and len(shape) == 4:
            target = [*shape[:2], shape[2] * shape[3]]
            return self.node("Reshape", [value, self.constant(np.array(target, np.int64))]), target, 1
        if kind == 1:
            perm = [int(item) for item in self.rng.permutation(len(shape))]
            return (
                self.node("Transpose", [value], perm=perm),
                [shape[item] for item in perm],
                perm.index(axis),
            )
        if kind == 2:
            new = int(self.rng.integers(len(shape) + 1))
            value = self.node("Unsqueeze", [value, self.constant(np.array([new], np.int64))])
            return value, [*shape[:new], 1, *shape[new:]], axis + (new <= axis)
        ones = [index for index, dim in enumerate(shape) if dim == 1]
        if kind == 3 and ones:
            value = self.node("Squeeze", [value, self.constant(np.array(ones, np.int64))])
            return value, [dim for dim in shape if dim != 1], axis - sum(index < axis for index in ones)
        return value, shape, axis

    def part(self, value: str, shape: list[int], axis: int, size: int) -> str:
        """Constants in a row, one of which may be no constant per channel."""
        for _ in range(self.rng.integers(3)):
            dims = [1] * len(shape)
            dims[axis] = size if self.rng.integers(2) else 1
            if self.rng.integers(8) == 0:
                dims = [*shape[:axis], size, *shape[axis + 1 :]]
            op = str(self.rng.choice(["Add", "Sub", "Mul", "Div"]))
            other = self.floats(*dims)
            # A constant over a value is left out: near a zero of the value it would magnify any rounding.
            swapped = self.rng.integers(2) and op != "Div" and (op != "Sub" or self.rng.integers(4) == 0)
            value = self.node(op, [other, value] if swapped else [value, other])
        return self.node("Identity", [value])

    def build(self, *, split: bool = True) -> onnx.ModelProto:
        value, shape, axis = self.moved(*self.linear())
        value, shape, axis = self.moved(value, shape, axis)
        if not split:
            return self.model([self.part(value, shape, axis, CHANNELS)])
        names = [f"part{index}" for index in range(len(PARTS))]
        given = self.constant(np.array(PARTS, np.int64))
        self.nodes.append(
            helper.make_node(
                "Split", [value, given], names, axis=axis - len(shape) * int(self.rng.integers(2))
            )
        )
        outputs = [self.part(name, shape, axis, size) for name, size in zip(names, PARTS, strict=True)]
        return self.model(outputs)

    def model(self, outputs: list[str]) -> onnx.ModelProto:
        """All of it, shapes included."""
        graph = helper.make_graph(
            self.nodes,
            "parts",
            [
                helper.make_tensor_value_info("image", TensorProto.FLOAT, [2, 4, 2, 5]),
                helper.make_tensor_value_info("rows", TensorProto.FLOAT, [2, 4]),
                helper.make_tensor_value_info("stack", TensorProto.FLOAT, [2, 3, 4]),
            ],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
            self.constants,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 23)], ir_version=10)
        return onnx.shape_inference.infer_shapes(model, strict_mode=True)


@pytest.mark.parametrize("block", range(4))
@pytest.mark.parametrize("command", ["fuse-split-affine", "fuse-moved-affine"])
def test_absorbed_constants_compute_the_same(command: str, block: int) -> None:
    absorbed = 0
    for seed in range(60 * block, 60 * (block + 1)):
        graph = Graph(seed)
        model = ir.from_proto(graph.build(split=command == "fuse-split-affine"))
        feeds = {
            value.name: graph.rng.standard_normal(value.shape.numpy()).astype(np.float32)
            for value in model.graph.inputs
        }
        before, count = plain_runner(model).run(feeds), len(list(model.graph))
        done = optimize_model(model, pipeline(command))
        onnx.checker.check_model(ir.to_proto(done.model), full_check=True)
        absorbed += count - len(list(done.model.graph))
        after = plain_runner(done.model).run(feeds)
        assert all(is_rounding(before[name], after[name]) for name in before), (seed, graph.host)
        again = optimize_model(done.model, pipeline(command))
        assert not any(effect.modified for effect in again.effects), seed
    assert absorbed >= 8
