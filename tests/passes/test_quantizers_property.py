"""Random chains of quantisers, moves and factors compute the same bits with fewer nodes.

Scales and factors are powers of two, for which every way to compute is exact.
"""

from __future__ import annotations

import numpy as np
import onnx.parser
import onnx_ir as ir
import pytest

from graphopt.backends.onnxruntime.runner import make_runner
from graphopt.driver.opt import optimize_model, pipeline
from tests.rules.proof import same_bits

PIPELINE = "canonical,repeat(quantization,simplify,fold,infer-shapes)"


def chain(seed: int) -> tuple[str, list[str]]:
    """A model in ONNX text over one input of shape [2, 3, 4], and its steps."""
    rng = np.random.default_rng(seed)
    shape, value, lines, steps = [2, 3, 4], "x", [], []
    constants = ["uint8 zu = {128}", "int8 zi = {0}"]
    for index in range(int(rng.integers(3, 9))):
        new, step = f"v{index}", str(rng.choice(["quantise", "transpose", "reshape", "scale", "relu"]))
        steps.append(step)
        if step == "quantise":
            scale, zero = 2.0 ** int(rng.integers(-5, -2)), str(rng.choice(["zu", "zi"]))
            constants.append(f"float s{index} = {{{scale}}}")
            lines.append(f"q{index} = QuantizeLinear ({value}, s{index}, {zero})")
            lines.append(f"{new} = DequantizeLinear (q{index}, s{index}, {zero})")
        elif step == "transpose":
            order = [int(axis) for axis in rng.permutation(len(shape))]
            shape = [shape[axis] for axis in order]
            lines.append(f"{new} = Transpose <perm = {order}> ({value})")
        elif step == "reshape":
            shape = [4, 6] if len(shape) == 3 else [3, 2, 4]
            constants.append(f"int64[{len(shape)}] t{index} = {{{', '.join(map(str, shape))}}}")
            lines.append(f"{new} = Reshape ({value}, t{index})")
        elif step == "scale":
            constants.append(f"float c{index} = {{{2.0 ** int(rng.integers(-2, 3))}}}")
            lines.append(f"{new} = {rng.choice(['Mul', 'Div'])} ({value}, c{index})")
        else:
            lines.append(f"{new} = Relu ({value})")
        value = new
    lines.append(f"y = Neg ({value})")
    dims = ", ".join(map(str, shape))
    header = '<ir_version: 10, opset_import: ["": 21]>'
    body = "\n".join(lines)
    return f"{header} g (float[2, 3, 4] x) => (float[{dims}] y) <{', '.join(constants)}> {{ {body} }}", steps


@pytest.mark.parametrize("seed", range(40))
def test_a_chain_of_quantisers_computes_the_same_bits(seed: int) -> None:
    text, steps = chain(seed)
    model = ir.from_proto(onnx.parser.parse_model(text))
    feeds = {"x": np.random.default_rng(seed).normal(0, 3, (2, 3, 4)).astype(np.float32)}
    before = make_runner(model, optimise=False, threads=1).run(feeds)
    done = optimize_model(model.clone(), pipeline(PIPELINE)).model
    after = make_runner(done, optimise=False, threads=1).run(feeds)
    assert same_bits(before["y"], after["y"]), steps
    assert len(list(done.graph)) <= len(list(model.graph)), steps
    again = optimize_model(done.clone(), pipeline(PIPELINE)).model
    assert [n.op_type for n in again.graph] == [n.op_type for n in done.graph], steps
