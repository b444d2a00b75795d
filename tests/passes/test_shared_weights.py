"""A weight with two readers stays one tensor, whatever stands around its readers."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir
import pytest

from graphopt.driver.opt import optimize_model, pipeline
from graphopt.ir.walk import weight_bytes
from tests.rules.proof import is_rounding, plain_runner

HEADER = '<ir_version: 10, opset_import: ["": 23]>'
CHANNELS = 64
IMAGE, ROWS = f"float[N, {CHANNELS}, 4, 4]", f"float[N, 3, {CHANNELS}]"
NORM = "BatchNormalization ({0}, v, v, v, p)"

CASES = {
    "norm behind one of two convolutions": (IMAGE, "a = Conv (x, k); y = Neg (a); b = Conv (x, k)", NORM),
    "norm behind both": (IMAGE, f"a = Conv (x, k); y = {NORM.format('a')}; b = Conv (y, k)", NORM),
    "factor behind": (IMAGE, "a = Conv (x, k); y = Neg (a); b = Conv (x, k)", "Mul ({0}, c)"),
    "factor behind a product": (ROWS, "a = MatMul (x, w); y = Neg (a); b = MatMul (x, w)", "Mul ({0}, v)"),
    "factor before": (ROWS, "a = MatMul (x, w); y = Neg (a); s = Mul (y, v); b = MatMul (s, w)", "Neg ({0})"),
    "shift before": (IMAGE, "a = Conv (x, k); s = Add (a, c); y = Neg (a); b = Conv (s, k)", "Neg ({0})"),
    "parallel products": (
        ROWS,
        "a = MatMul (x, w); y = Add (a, v); b0 = MatMul (x, u); b1 = Add (b0, v); b2 = MatMul (b1, w);"
        " b = Add (b2, y)",
        "Neg ({0})",
    ),
    "transposed": (
        f"float[N, {CHANNELS}]",
        "a = Gemm <transB = 1> (x, w); y = Neg (a); b = Gemm (x, w)",
        "Mul ({0}, v)",
    ),
    "with its transpose": (
        ROWS,
        "t = Transpose <perm = [1, 0]> (w); a = MatMul (x, w); y = Neg (a); b = MatMul (y, t)",
        "Neg ({0})",
    ),
}


def _constants(rng: np.random.Generator) -> dict[str, npt.NDArray[np.float32]]:
    vector = rng.uniform(0.5, 1.5, CHANNELS).astype(np.float32)
    matrices = [rng.standard_normal((CHANNELS, CHANNELS)).astype(np.float32) / 8 for _ in range(2)]
    return {
        "w": matrices[0],
        "u": matrices[1],
        "k": matrices[0].reshape(CHANNELS, CHANNELS, 1, 1),
        "v": vector,
        "p": vector,
        "c": vector.reshape(CHANNELS, 1, 1),
    }


def _model(kind: str, body: str, last: str, rng: np.random.Generator) -> ir.Model:
    lines = [*body.split(";"), f"z = {last.format('b')}"]
    text = f"{HEADER} g ({kind} x) => ({kind} y, {kind} z) {{ {chr(10).join(lines)} }}"
    proto = onnx.parser.parse_model(text)
    read = {name for node in proto.graph.node for name in node.input}
    for name, array in _constants(rng).items():
        if name in read:
            proto.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    return ir.from_proto(proto)


@pytest.mark.parametrize("case", CASES)
def test_shared_weights_stay_shared(case: str) -> None:
    kind, body, last = CASES[case]
    rng = np.random.default_rng(len(case))
    model = _model(kind, body, last, rng)
    shape = [2 if isinstance(dim, ir.SymbolicDim) else dim for dim in model.graph.inputs[0].shape or ()]
    feeds = {"x": rng.standard_normal(shape).astype(np.float32)}
    before, weights = plain_runner(model).run(feeds), weight_bytes(model)
    done = optimize_model(model, pipeline()).model
    assert weight_bytes(done) <= 1.01 * weights + 8 * CHANNELS
    after = plain_runner(done).run(feeds)
    assert all(is_rounding(before[name], after[name]) for name in before)
