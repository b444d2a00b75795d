"""Quantised models as engines: they compute what ONNX Runtime computes, and their weights stay small."""

import numpy as np
import onnx.helper
import onnx.numpy_helper
import onnx.parser
import pytest

from graphopt.backends.base import BuildOptions
from graphopt.backends.onnxruntime.runner import make_runner
from graphopt.backends.tensorrt.backend import BACKEND
from graphopt.backends.tensorrt.claims import misread
from graphopt.driver.legalize import legalization, legalize
from graphopt.driver.opt import import_model, optimize_model, pipeline
from graphopt.driver.runners import evaluator
from graphopt.targets.parse import parse_target
from tests.backends.tensorrt.network.unsupported import Unsupported
from tests.backends.tensorrt.test_network import interpret

TARGET = parse_target("cuda:sm_86")
RANDOM = np.random.default_rng(0)


def numbers(kind, *shape):
    """Every number of an 8-bit type, at random."""
    return RANDOM.integers(0, 256, shape).astype(np.uint8).view(kind)


WEIGHTS = {
    "w8": numbers(np.int8, 256, 128),
    "wu": numbers(np.uint8, 256, 128),
    "wc": numbers(np.int8, 16, 8, 3, 3),
    "table": numbers(np.uint8, 1000, 64),
    "packed": numbers(np.uint8, 128, 8, 16),
    "s": np.float32(0.02),
    "t": np.float32(0.05),
    "steps": (RANDOM.random((128, 8)) * 0.02 + 0.01).astype(np.float32),
    "z": np.uint8(117),
    "v": np.uint8(140),
    "bias": RANDOM.integers(-5000, 5000, 16).astype(np.int32),
    "st": np.float32(0.001),
    "recurrent": numbers(np.int8, 2, 32, 128),
    "inputs": numbers(np.int8, 2, 16, 128),
    "two": np.asarray([0.01, 0.02], np.float32),
    "zeros": np.zeros(2, np.int8),
}

CASES = {
    "dynamic": (
        """g (float[2, 5, 256] x) => (float[2, 5, 128] y) {
            a, as, az = DynamicQuantizeLinear (x)
            p = MatMulInteger (a, w8, az)
            n = Cast <to = 1> (p)
            k = Mul (as, s)
            y = Mul (n, k)
        }""",
        256 * 128,
    ),
    "dynamic-asymmetric-weight": (
        """g (float[2, 5, 256] x) => (float[2, 5, 128] y) {
            a, as, az = DynamicQuantizeLinear (x)
            p = MatMulInteger (a, wu, az, v)
            n = Cast <to = 1> (p)
            k = Mul (as, s)
            y = Mul (n, k)
        }""",
        256 * 128,
    ),
    "static-asymmetric": (
        """g (float[2, 5, 256] x) => (float[2, 5, 128] y) {
            q = QuantizeLinear (x, s, z)
            a = DequantizeLinear (q, s, z)
            b = DequantizeLinear (w8, t)
            y = MatMul (a, b)
        }""",
        256 * 128,
    ),
    "conv": (
        """g (float[1, 8, 9, 9] x) => (float[1, 16, 9, 9] y) {
            q = QuantizeLinear (x, s, z)
            a = DequantizeLinear (q, s, z)
            b = DequantizeLinear (wc, t)
            c = DequantizeLinear (bias, st)
            y = Conv <pads = [1, 1, 1, 1]> (a, b, c)
        }""",
        16 * 8 * 9,
    ),
    "operators": (
        """g (float[1, 8, 9, 9] x) => (float[1, 16, 5, 5] y) {
            q = QuantizeLinear (x, s, z)
            c = QLinearConv <pads = [1, 1, 1, 1], strides = [2, 2]> (q, s, z, wc, t, zero, t, z, bias)
            r = com.microsoft.QLinearSigmoid (c, t, z, s, z)
            m = com.microsoft.QLinearMul (c, t, z, r, s, z, t, z)
            y = DequantizeLinear (m, t, z)
        }""",
        16 * 8 * 9,
    ),
    "table": (
        """g (int64[1, 7] i) => (float[1, 7, 64] y) {
            q = Gather (table, i)
            y = DequantizeLinear (q, s, z)
        }""",
        1000 * 64,
    ),
    "blocks": (
        """g (float[3, 256] x) => (float[3, 128] y) {
            y = com.microsoft.MatMulNBits <K = 256, N = 128, bits = 4, block_size = 32> (x, packed, steps)
        }""",
        256 * 128 // 2 + 4 * 128 * 8,
    ),
    "recurrent": (
        """g (float[6, 1, 16] x) => (float[6, 2, 1, 32] y) {
            y = com.microsoft.DynamicQuantizeLSTM <direction = "bidirectional", hidden_size = 32>
                (x, inputs, recurrent, , , , , , two, zeros, two, zeros)
        }""",
        2 * 48 * 128,
    ),
}
"""Name → text, and the bytes its weights take as they are."""


def read(text):
    """A model in ONNX text, with the weights it names."""
    head = '<ir_version: 10, opset_import: ["" : 23, "com.microsoft" : 1]>'
    model = onnx.parser.parse_model(f"{head}\n{text}")
    known = {**WEIGHTS, "zero": np.zeros((), np.int8)}
    used = {name for node in model.graph.node for name in node.input if name in known}
    model.graph.initializer.extend(onnx.numpy_helper.from_array(known[name], name) for name in sorted(used))
    return model


def optimised(text):
    return optimize_model(import_model(read(text)), pipeline(level=2), evaluate=evaluator()).model


def feeds(text):
    """Numbers well beyond the range of the quantiser, and rows of a table."""
    (value,) = read(text).graph.input
    shape = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
    if value.type.tensor_type.elem_type == onnx.TensorProto.INT64:
        return {value.name: RANDOM.integers(0, 1000, shape)}
    return {value.name: (RANDOM.standard_normal(shape) * 2).astype(np.float32)}


@pytest.mark.parametrize("name", CASES)
def test_the_network_computes_what_onnxruntime_computes(name):
    text, _ = CASES[name]
    given = feeds(text)
    expected = make_runner(import_model(read(text)), optimise=False, threads=1).run(given)["y"]
    try:
        found = np.asarray(interpret(optimised(text), given)["y"])
    except Unsupported as error:
        pytest.skip(f"the interpreter of networks lacks a layer: {error}")
    assert found.shape == expected.shape
    assert np.max(np.abs(found - expected)) <= 64 * np.spacing(np.max(np.abs(expected)))


@pytest.mark.parametrize("name", ["dynamic-asymmetric-weight", "conv", "table", "blocks", "recurrent"])
def test_weights_take_no_more_room_in_the_engine(name):
    text, size = CASES[name]
    model = optimised(text)
    legalize(model, legalization([BACKEND], TARGET), BACKEND, TARGET, evaluator())
    assert not misread(model)
    blob = BACKEND.build(model, BuildOptions(TARGET, 1))
    assert size <= blob.options["weight_bytes"] <= 1.25 * size + 4096
