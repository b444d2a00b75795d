"""Random graphs of elementwise operators, reductions, views and products: fused, they compute the same."""

from __future__ import annotations

import numpy as np
import pytest

from graphopt.backends.native.module import import_kernels
from graphopt.backends.onnxruntime.runner import make_runner
from tests.backends.native.plans import model_of
from tests.backends.native.whole import built, run

_UNARY = ("Abs", "Neg", "Sigmoid", "Tanh", "Relu", "HardSwish", "Softplus", "Sin", "Erf")
_BINARY = ("Add", "Sub", "Mul", "Max", "Min")
_CLOSING = (
    "y = ReduceMean (v, axis)",
    "y = ReduceMax <keepdims = 0> (v, axis)",
    "y = ReduceSum <keepdims = 0> (v)",
    "t = Transpose <perm = [0, 2, 1]> (v) y = Exp (t)",
    "y = Softmax (v)",
    "y = Identity (v)",
)


def _body(rng: np.random.Generator) -> str:
    """A chain with side inputs, some of them products, convolutions, rows or columns."""
    anchors = ("v0 = MatMul (x, m)", "v0 = Conv (x, k)", "v0 = Identity (x)")
    lines = [rng.choice(anchors)]
    known = ["v0"]
    for number in range(1, int(rng.integers(3, 9))):
        new, recent = f"v{number}", known[-1]
        match rng.integers(4):
            case 0:
                lines.append(f"{new} = {rng.choice(_UNARY)} ({recent})")
            case 1:
                lines.append(
                    f"{new} = {rng.choice(_BINARY)} ({recent}, {rng.choice(['x', 'row', 'column', 'one'])})"
                )
            case 2:
                lines.append(f"{new} = {rng.choice(_BINARY)} ({rng.choice(known)}, {recent})")
            case _:
                lines.append(f"{new} = Clip ({recent}, low, high)")
        known.append(new)
    lines.append(f"v = Identity ({known[-1]})")
    lines.append(rng.choice(_CLOSING))
    return " ".join(lines)


@pytest.mark.parametrize("seed", range(60))
def test_a_random_chain_computes_the_same(seed: int) -> None:
    rng = np.random.default_rng(seed)
    constants = """
        one = Constant <value = float {1.5}> ()
        low = Constant <value = float {-0.75}> ()
        high = Constant <value = float {0.75}> ()
        axis = Constant <value_ints = [1]> ()
        row = Constant <value_floats = [0.5, -1.0, 2.0, 0.25, 1.0]> ()
        column = Constant <value = float[1,5,1] {0.5, -1.0, 2.0, 0.25, 1.0}> ()
    """
    inputs = "float[2,5,5] x, float[5,5] m, float[5,5,1] k"
    model = model_of(f"chain ({inputs}) => (y) {{ {constants} {_body(rng)} }}")
    feeds = {
        "x": rng.standard_normal((2, 5, 5)).astype(np.float32),
        "m": (rng.standard_normal((5, 5)) / 3).astype(np.float32),
        "k": (rng.standard_normal((5, 5, 1)) / 3).astype(np.float32),
    }
    want = make_runner(model, optimise=False, threads=1).run(feeds)["y"]
    plan = built(model)

    for isa in import_kernels().supported_isas():
        got = run(plan, feeds, isa=isa)["y"]
        assert got.shape == want.shape
        # Up to ten operators, each of which may double a relative error of a few ulps.
        bound = 2**10 * np.finfo(np.float32).eps * max(1.0, float(np.abs(want).max()))
        assert np.abs(got - want).max() <= bound, isa
