"""Random chains of Reshape, Squeeze, Unsqueeze and Transpose: the same bits, never more steps."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from graphopt.driver.opt import optimize_model, pipeline
from graphopt.rewrite.infer import infer_outputs
from tests.rules import proof

SEEDS = 160


class _Chain:
    """One random chain over a value of rank 3 or 4; some sizes are 1 and some have a name only."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.sizes = [int(s) for s in self.rng.choice([1, 2, 3, 4, 6], int(self.rng.integers(3, 5)))]
        shape = [f"D{i}" if self.rng.random() < 0.3 else size for i, size in enumerate(self.sizes)]
        self.x = ir.Value(name="x", shape=ir.Shape(shape), type=ir.TensorType(ir.DataType.FLOAT))
        self.feeds = {"x": self.rng.standard_normal(self.sizes).astype(np.float32)}
        self.nodes: list[ir.Node] = []
        self.constants: list[ir.Value] = []
        self.last = self.x

    def _add(self, op_type: str, numbers: list[int] | None, perm: list[int] | None = None) -> None:
        inputs = [self.last]
        if numbers is not None:
            tensor = ir.tensor(np.asarray(numbers, np.int64))
            shape, kind = ir.Shape([len(numbers)]), ir.TensorType(ir.DataType.INT64)
            inputs.append(ir.Value(name=f"c{len(self.nodes)}", shape=shape, type=kind, const_value=tensor))
            self.constants.append(inputs[-1])
        attributes = [] if perm is None else [ir.AttrInt64s("perm", perm)]
        output = ir.Value(name=f"v{len(self.nodes)}")
        node = ir.Node("", op_type, inputs, attributes, outputs=[output], name=f"n{len(self.nodes)}")
        infer_outputs(node, 23)
        self.nodes.append(node)
        self.last = output

    def step(self) -> None:
        """One more operator that the sizes allow."""
        rank = len(self.sizes)
        kind = self.rng.choice(["transpose", "transpose", "unsqueeze", "squeeze", "merge", "split"])
        if kind == "transpose":
            perm = [int(p) for p in self.rng.permutation(rank)]
            self._add("Transpose", None, perm)
            self.sizes = [self.sizes[p] for p in perm]
        elif kind == "unsqueeze" and rank < 6:
            axis = int(self.rng.integers(rank + 1))
            self._add("Unsqueeze", [axis])
            self.sizes.insert(axis, 1)
        elif kind == "squeeze" and rank > 1:
            axes = [i for i, d in enumerate(self.sizes) if d == 1 and self.last.shape[i] == 1]
            if axes:
                self._add("Squeeze", axes[:1])
                del self.sizes[axes[0]]
        elif kind == "merge" and rank > 2:
            at = int(self.rng.integers(rank - 1))
            self._reshape([*self.sizes[:at], self.sizes[at] * self.sizes[at + 1], *self.sizes[at + 2 :]], at)
        elif kind == "split":
            at = int(self.rng.integers(rank))
            part = int(self.rng.choice([d for d in (1, 2, 3, 4, 6) if self.sizes[at] % d == 0]))
            whole = [*self.sizes[:at], part, self.sizes[at] // part, *self.sizes[at + 1 :]]
            self._reshape(whole, at + int(self.rng.integers(2)))

    def _reshape(self, sizes: list[int], hole: int) -> None:
        numbers = [-1 if i == hole and self.rng.random() < 0.7 else size for i, size in enumerate(sizes)]
        for i in range(min(hole, len(self.sizes))):
            numbers[i] = 0 if sizes[i] == self.sizes[i] and self.rng.random() < 0.3 else numbers[i]
        self._add("Reshape", numbers)
        self.sizes = sizes

    def model(self) -> ir.Model:
        """Some steps, with a reader behind the last and sometimes one in between."""
        for _ in range(int(self.rng.integers(2, 7))):
            self.step()
        outputs = []
        for value in {self.last, *(n.outputs[0] for n in self.nodes if self.rng.random() < 0.1)}:
            made = ir.Value(name=f"{value.name}_read")
            node = ir.Node("", "Neg", [value], outputs=[made], name=f"read_{value.name}")
            infer_outputs(node, 23)
            self.nodes.append(node)
            outputs.append(made)
        graph = ir.Graph(
            [self.x], outputs, nodes=self.nodes, initializers=self.constants, opset_imports={"": 23}, name="g"
        )
        return ir.Model(graph, ir_version=10)


@pytest.mark.parametrize("part", range(4))
def test_random_chains(part: int) -> None:
    fired = 0
    for seed in range(part * SEEDS // 4, (part + 1) * SEEDS // 4):
        chain = _Chain(seed)
        model = chain.model()
        before = proof.run(model, chain.feeds)
        count = len(model.graph)
        done = optimize_model(model, pipeline("fuse-layout-chains"))
        after = proof.run(done.model, chain.feeds)
        assert all(proof.same_bits(before[name], after[name]) for name in before), seed
        changed = any(effect.modified for effect in done.effects)
        assert len(done.model.graph) <= count, seed
        fired += changed
    assert fired >= SEEDS // 4 * 0.2
