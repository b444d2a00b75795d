"""Random Einsum equations compute the same after the rewrite, with as few steps as their form needs."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from graphopt.passes.simplify.replace_einsum import RULES
from graphopt.rewrite.driver import apply
from tests.rules import proof

SEEDS = 120


def _model(equation: str, shapes: list[list[int | str]], rank: int) -> ir.Model:
    names = "ab"[: len(shapes)]
    inputs = [
        ir.Value(name=name, shape=ir.Shape(shape), type=ir.TensorType(ir.DataType.FLOAT))
        for name, shape in zip(names, shapes, strict=True)
    ]
    out = ir.Value(name="y", shape=ir.Shape([None] * rank), type=ir.TensorType(ir.DataType.FLOAT))
    node = ir.Node("", "Einsum", inputs, [ir.AttrString("equation", equation)], outputs=[out], name="e")
    graph = ir.Graph(inputs, [out], nodes=[node], opset_imports={"": 23}, name="g")
    return ir.Model(graph, ir_version=10)


def _random(seed: int) -> tuple[str, list[list[int | str]], list[list[int]], int]:
    """An equation with up to six indices, some of them symbolic, some of size 1."""
    rng = np.random.default_rng(seed)
    labels = "abcdef"[: rng.integers(1, 7)]
    places = {label: rng.choice(["both", "left", "right"]) for label in labels}
    terms = [[s for s in labels if places[s] in ("both", side)] for side in ("left", "right")]
    output = [s for s in labels if rng.random() < 0.7]
    for part in (*terms, output):
        rng.shuffle(part)
    sizes = {label: int(rng.choice([1, 2, 3, 4])) for label in labels}
    symbolic = {label for label in labels if rng.random() < 0.3}
    equation = f"{''.join(terms[0])},{''.join(terms[1])}->{''.join(output)}"
    shapes = [[s.upper() if s in symbolic else sizes[s] for s in term] for term in terms]
    return equation, shapes, [[sizes[s] for s in term] for term in terms], len(output)


@pytest.mark.parametrize("part", range(4))
def test_random_equations(part: int) -> None:
    fired = 0
    for seed in range(part * SEEDS // 4, (part + 1) * SEEDS // 4):
        equation, shapes, sizes, rank = _random(seed)
        rng = np.random.default_rng(seed)
        feeds = {
            name: rng.standard_normal(size).astype(np.float32) for name, size in zip("ab", sizes, strict=True)
        }
        model = _model(equation, shapes, rank)
        before = proof.run(model, feeds)["y"]
        fired += apply(model, RULES, "test", proof.Sink())
        after = proof.run(model, feeds)["y"]
        assert proof.is_rounding(before, after), equation
    assert fired > SEEDS // 4 * 0.8


@pytest.mark.parametrize(
    ("equation", "shapes", "steps"),
    [
        ("bct,bcs->bts", ["B8T", "B8S"], ["Transpose", "MatMul"]),
        ("bts,bcs->bct", ["BTS", "B8S"], ["Transpose", "MatMul"]),
        ("bhqd,bhkd->bhqk", ["BHQD", "BHKD"], ["Transpose", "MatMul"]),
        ("bhqk,bhkd->bhqd", ["BHQK", "BHKD"], ["MatMul"]),
        ("bqhd,bkhd->bhqk", ["BQHD", "BKHD"], ["Transpose", "Transpose", "MatMul"]),
        ("btd,de->bte", ["BTD", "DE"], ["MatMul"]),
        ("bthd,hde->bte", ["BT23", "23E"], ["Reshape", "Reshape", "MatMul"]),
        ("bhwc,hkc->bhwk", ["BHWC", "HKC"], ["Transpose", "MatMul"]),
        ("bhwc,wkc->bhwk", ["BHWC", "WKC"], ["Transpose", "MatMul", "Transpose"]),
        ("ck,bkhw->bchw", ["84", "B456"], ["Reshape", "MatMul", "Reshape"]),
        ("ck,bkhw->bchw", ["84", "B4HW"], ["Transpose", "MatMul", "Transpose"]),
        ("bn,bn->b", ["BN", "BN"], ["Unsqueeze", "Unsqueeze", "MatMul", "Squeeze"]),
        ("n,n->", ["N", "N"], ["MatMul"]),
        ("i,j->ij", ["I", "J"], ["Unsqueeze", "Mul"]),
        ("bn,bn->bn", ["BN", "BN"], ["Mul"]),
    ],
)
def test_the_form_with_the_fewest_steps_is_taken(equation: str, shapes: list[str], steps: list[str]) -> None:
    dims = [[int(s) if s.isdigit() else s for s in shape] for shape in shapes]
    model = _model(equation, dims, len(equation.partition("->")[2]))
    assert apply(model, RULES, "test", proof.Sink())
    assert [node.op_type for node in model.graph] == steps
