"""Attention is recognised however heads are split, scores scaled and masks spelled, and computes the same."""

from __future__ import annotations

import numpy as np
import onnx
import onnx.parser
import onnx_ir as ir
import pytest

from graphopt.backends.onnxruntime.runner import make_runner
from graphopt.driver.opt import optimize_model, pipeline
from graphopt.ir.text import print_model
from tests.rules import proof

SEEDS = range(30)
STEPS = "canonical,repeat(simplify,fold,infer-shapes,attention)"
HEADS, SIZE = 2, 4
WIDTH = HEADS * SIZE


class Writer:
    """Writes one attention in one of many ways, as ONNX text."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.lines: list[str] = []
        self.inputs: dict[str, tuple[str, tuple[str | int, ...]]] = {}
        self.constants: list[str] = []
        self.sizes = {"B": int(self.rng.integers(1, 4)), "S": int(self.rng.integers(2, 6))}
        self.is_cross = self.flag()
        self.sizes["T"] = int(self.rng.integers(2, 6)) if self.is_cross else self.sizes["S"]
        self.keys = "T" if self.is_cross else "S"

    def flag(self) -> bool:
        """One of two ways."""
        return bool(self.rng.integers(2))

    def call(self, text: str) -> str:
        """One node; its result."""
        name = f"v{len(self.lines)}"
        self.lines.append(f"{name} = {text}")
        return name

    def constant(self, kind: str, values: list[float] | list[int] | float) -> str:
        """A constant."""
        name = f"c{len(self.constants)}"
        listed = values if isinstance(values, list) else [values]
        shape = f"[{len(listed)}]" if isinstance(values, list) else ""
        self.constants.append(f"{kind}{shape} {name} = {{{', '.join(map(str, listed))}}}")
        return name

    def input(self, name: str, kind: str, *shape: str | int) -> str:
        """A graph input."""
        self.inputs[name] = (kind, shape)
        return name

    def scaled(self, value: str, factor: float) -> str:
        """``value`` times ``factor``, by Mul or Div."""
        if self.flag():
            operands = [value, self.constant("float", factor)]
            return self.call(f"Mul ({', '.join(operands if self.flag() else reversed(operands))})")
        return self.call(f"Div ({value}, {self.constant('float', 1 / factor)})")

    def heads(self, name: str, length: str, last_first: bool) -> str:
        """The heads of an operand, ``[B, H, S, D]`` or transposed."""
        x = self.input(name, "float", "B", length, WIDTH)
        target = self.constant("int64", [[0, 0, HEADS, SIZE], [0, -1, HEADS, SIZE]][self.rng.integers(2)])
        split = self.call(f"Reshape ({x}, {target})")
        if last_first and self.flag():
            return self.call(f"Transpose <perm = [0, 2, 3, 1]> ({split})")
        split = self.call(f"Transpose <perm = [0, 2, 1, 3]> ({split})")
        return self.call(f"Transpose <perm = [0, 1, 3, 2]> ({split})") if last_first else split

    def masked(self, scores: str) -> str:
        """The scores with a mask of some kind; some keys are always seen."""
        kind = int(self.rng.integers(5))
        shape = [("B", 1, 1, self.keys), ("S", self.keys), (1, HEADS, "S", self.keys)][self.rng.integers(3)]
        if kind == 0:
            return scores
        if kind == 1:
            return self.call(f"Add ({self.input('mask', 'float', *shape)}, {scores})")
        seen = self.input("seen", "bool", *shape)
        hidden = self.constant("float", float("-inf") if self.flag() else -3.0e38)
        if kind == 2:
            return self.call(f"Where ({seen}, {scores}, {hidden})")
        zero = self.constant("float", 0.0)
        bias = self.call(f"Where ({seen}, {zero}, {hidden})")
        biased = self.call(f"Add ({scores}, {bias})")
        return biased if kind == 3 else self.call(f"Add ({biased}, {self.input('mask', 'float', *shape)})")

    def write(self) -> ir.Model:
        """The model."""
        q, k, v = (
            self.heads("q", "S", False),
            self.heads("k", self.keys, True),
            self.heads("v", self.keys, False),
        )
        place = int(self.rng.integers(4))
        if place in (0, 1):
            q = self.scaled(q, 0.5 if place == 0 else 0.7)
        if place == 1:
            k = self.scaled(k, 0.7)
        scores = self.call(f"MatMul ({q}, {k})")
        if place == 2:
            scores = self.scaled(scores, 0.5)
        weights = self.call(f"Softmax <axis = {[-1, 3][self.rng.integers(2)]}> ({self.masked(scores)})")
        mixed = self.call(f"Transpose <perm = [0, 2, 1, 3]> ({self.call(f'MatMul ({weights}, {v})')})")
        self.lines.append(f"y = Reshape ({mixed}, {self.constant('int64', [0, 0, WIDTH])})")
        inputs = ", ".join(
            f"{kind}[{', '.join(map(str, shape))}] {name}" for name, (kind, shape) in self.inputs.items()
        )
        header = '<ir_version: 10, opset_import: ["": 23]>'
        body = "\n".join(self.lines)
        signature = f"g ({inputs}) => (float[B, S, {WIDTH}] y)\n<{', '.join(self.constants)}>"
        return ir.from_proto(onnx.parser.parse_model(f"{header}\n{signature} {{\n{body}\n}}"))

    def feeds(self) -> dict[str, np.ndarray]:
        """Values for the inputs."""
        found = {}
        for name, (kind, shape) in self.inputs.items():
            size = [self.sizes[dim] if isinstance(dim, str) else dim for dim in shape]
            if kind == "bool":
                found[name] = self.rng.random(size) < 0.6
                found[name][..., 0] = True
            else:
                found[name] = self.rng.standard_normal(size).astype(np.float32)
        return found


@pytest.mark.parametrize("seed", SEEDS)
def test_every_spelling_is_one_attention_that_computes_the_same(seed: int) -> None:
    writer = Writer(seed)
    model = writer.write()
    feeds = writer.feeds()
    before = proof.run(model, feeds)["y"]
    done = optimize_model(model.clone(), pipeline(STEPS)).model
    operators = [node.op_type for node in done.graph]
    assert operators.count("Attention") == 1, print_model(done)
    assert "Softmax" not in operators
    assert "Transpose" not in operators, print_model(done)
    after = make_runner(done, optimise=False, threads=1).run(feeds)["y"]
    assert proof.is_rounding(before, after)
    again = optimize_model(done.clone(), pipeline(STEPS)).model
    assert print_model(again) == print_model(done)


def test_rows_without_any_key_are_zero_and_not_nan() -> None:
    model = ir.from_proto(
        onnx.parser.parse_model("""<ir_version: 10, opset_import: ["": 23]>
        g (float[B, 2, S, 4] q, float[B, 2, 4, T] k, float[B, 2, T, 4] v, float[B, 1, 1, T] mask)
          => (float[B, 2, S, 4] y) <float zero = {0.0}> {
          s = MatMul (q, k)
          m = Add (s, mask)
          n = Softmax (m)
          b = IsNaN (n)
          p = Where (b, zero, n)
          y = MatMul (p, v)
        }""")
    )
    rng = np.random.default_rng(0)
    shapes = {"q": (2, 2, 3, 4), "k": (2, 2, 4, 5), "v": (2, 2, 5, 4), "mask": (2, 1, 1, 5)}
    feeds = {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
    feeds["mask"][1] = -np.inf
    before = proof.run(model, feeds)["y"]
    done = optimize_model(model.clone(), pipeline(STEPS)).model
    assert [node.op_type for node in done.graph if node.op_type != "Transpose"] == ["Attention"]
    after = make_runner(done, optimise=False, threads=1).run(feeds)["y"]
    assert np.all(before[1] == 0)
    assert proof.is_rounding(before, after)


def test_an_expanded_mask_is_the_mask() -> None:
    """Against the ONNX reference, which broadcasts as the specification says."""
    text = """<ir_version: 10, opset_import: ["": 23]>
    g (float[B, S, 8] x, float[B, T, 8] c, float[B, 1, 1, T] mask) => (float[B, S, 8] y) {
      a = Attention <q_num_heads = 2, kv_num_heads = 2> (x, c, c, mask)
      y = Attention <q_num_heads = 2, kv_num_heads = 2> (a, c, c, mask)
    }"""
    from onnx.reference import ReferenceEvaluator

    proto = onnx.parser.parse_model(text)
    rng = np.random.default_rng(0)
    shapes = {"x": (2, 3, 8), "c": (2, 5, 8), "mask": (2, 1, 1, 5)}
    feeds = {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
    before = ReferenceEvaluator(proto).run(None, feeds)[0]
    legal = optimize_model(ir.from_proto(proto), pipeline("infer-shapes,expand-attention-mask")).model
    assert [node.op_type for node in legal.graph].count("Expand") == 1
    assert proof.is_rounding(before, proof.run(legal, feeds)["y"])
