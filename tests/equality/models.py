"""Small models, written as ONNX text with random weights."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np
import onnx
import onnx_ir as ir

from graphopt.backends.onnxruntime.runner import make_runner
from graphopt.equality.oracle import Oracle

unoptimised = partial(make_runner, optimise=False, threads=1)


def model(text: str, weights: Mapping[str, np.ndarray] | None = None, *, opset: int = 20) -> ir.Model:
    """A model from the text of its graph; ``weights`` become initializers."""
    header = f'<ir_version: 9, opset_import: ["" : {opset}]>'
    proto = onnx.parser.parse_model(f"{header}\n{text}")
    for name, array in (weights or {}).items():
        proto.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    return ir.from_proto(proto)


def floats(*shape: int, seed: int = 0, scale: float = 0.2) -> np.ndarray:
    return (scale * np.random.default_rng(seed).standard_normal(shape)).astype(np.float32)


def perceptron(**changed: np.ndarray) -> ir.Model:
    """Two layers with GELU between them, as exporters write it."""
    weights = {
        "w1": floats(32, 64, seed=1),
        "b1": floats(64, seed=2),
        "w2": floats(64, 16, seed=3),
        "root": np.float32(np.sqrt(2)),
        "one": np.float32(1),
        "half": np.float32(0.5),
    }
    return model(
        """mlp (float[N, 32] x) => (float[N, 16] y) {
            h = MatMul(x, w1)
            hb = Add(h, b1)
            scaled = Div(hb, root)
            e = Erf(scaled)
            e1 = Add(e, one)
            g = Mul(hb, e1)
            gelu = Mul(g, half)
            y = MatMul(gelu, w2)
        }""",
        weights | changed,
    )


def attention() -> ir.Model:
    """One head over tokens from a table, with a padding mask."""
    weights = {
        "table": floats(50, 16, seed=1, scale=1.0),
        "wq": floats(16, 16, seed=2),
        "wk": floats(16, 16, seed=3),
        "wv": floats(16, 16, seed=4),
        "one": np.float32(1),
        "low": np.float32(-1e4),
        "axis": np.array([1], np.int64),
    }
    return model(
        """att (int64[batch, seq] ids, int64[batch, seq] attention_mask) => (float[batch, seq, 16] y) {
            x = Gather(table, ids)
            q = MatMul(x, wq)
            k = MatMul(x, wk)
            v = MatMul(x, wv)
            kt = Transpose<perm = [0, 2, 1]>(k)
            scores = MatMul(q, kt)
            m = Cast<to = 1>(attention_mask)
            m1 = Unsqueeze(m, axis)
            away = Sub(one, m1)
            bias = Mul(away, low)
            masked = Add(scores, bias)
            p = Softmax<axis = -1>(masked)
            y = MatMul(p, v)
        }""",
        weights,
    )


def prepare(original: ir.Model, **options: object) -> Oracle:
    return Oracle.prepare(original, unoptimised, **options)
