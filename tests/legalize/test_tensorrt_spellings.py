"""Spellings for TensorRT that rule proofs do not reach compute what they replace."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import onnx
import onnx.parser
import onnx_ir as ir
import onnxruntime as ort
import pytest
from onnx.reference import ReferenceEvaluator

from graphopt.backends.tensorrt.legalize import LEGALIZE_PASSES, expand_standard_functions
from graphopt.driver.runners import evaluator
from graphopt.pipeline.context import PassContext
from graphopt.pipeline.manager import PassManager
from tests.rules.proof import is_rounding

Arrays = Mapping[str, npt.NDArray[np.generic]]
RNG = np.random.default_rng(3)


def _floats(*shape: int) -> npt.NDArray[np.generic]:
    return RNG.standard_normal(shape).astype(np.float32)


LENGTHS = np.asarray([6, 4], np.int64)
QUERIES = {"q": _floats(2, 8, 4, 16), "k": _floats(2, 2, 6, 16), "n": LENGTHS}
TRAINED = {name: 0.5 + np.abs(_floats(3)) for name in "sbmv"} | {"x": _floats(2, 3, 4)}
TURNED = {"x": _floats(2, 5, 3), "w": _floats(2, 12, 3), "r": _floats(2, 12, 4), "h": _floats(2, 2, 4)}
CELLS = TURNED | {"w": _floats(2, 16, 3), "r": _floats(2, 16, 4)}
LABELS = {"x": _floats(3, 5), "t": np.asarray([0, 4, 2], np.int64)}

BY_ORT = {
    "ragged attention": (
        """<ir_version: 11, opset_import: ["": 24]>
        g (float[2,8,4,16] q, float[2,2,6,16] k, int64[2] n) => (float[2,8,4,16] y) {
          y = Attention <is_causal = 1> (q, k, k, , , , n)
        }""",
        QUERIES,
    ),
    "running statistics": (
        """<ir_version: 10, opset_import: ["": 23]>
        g (float[2,3,4] x, float[3] s, float[3] b, float[3] m, float[3] v)
            => (float[2,3,4] y, float[3] rm, float[3] rv) {
          y, rm, rv = BatchNormalization <training_mode = 1, momentum = 0.75> (x, s, b, m, v)
        }""",
        TRAINED,
    ),
    "loss": (
        """<ir_version: 10, opset_import: ["": 22]>
        g (float[3,5] x, int64[3] t) => (float l, float[3,5] p) {
          l, p = SoftmaxCrossEntropyLoss <reduction = "sum", ignore_index = 4> (x, t)
        }""",
        LABELS,
    ),
    "cropped and padded": (
        """<ir_version: 10, opset_import: ["": 23]>
        g (float[3,5] x) => (float[4,2] y) <int64[2] s = {4, 2}> {
          y = CenterCropPad (x, s)
        }""",
        {"x": LABELS["x"]},
    ),
}
BY_REFERENCE = {
    "GRU, batch in front": (
        """<ir_version: 10, opset_import: ["": 22]>
        g (float[2,5,3] x, float[2,12,3] w, float[2,12,4] r, float[2,2,4] h)
            => (float[2,5,2,4] y, float[2,2,4] s) {
          y, s = GRU <hidden_size = 4, layout = 1, direction = "bidirectional"> (x, w, r, , , h)
        }""",
        TURNED,
    ),
    "LSTM, batch in front": (
        """<ir_version: 10, opset_import: ["": 22]>
        g (float[2,5,3] x, float[2,16,3] w, float[2,16,4] r, float[2,2,4] h)
            => (float[2,5,2,4] y, float[2,2,4] c) {
          y, , c = LSTM <hidden_size = 4, layout = 1, direction = "bidirectional"> (x, w, r, , , h, h)
        }""",
        CELLS,
    ),
    "mask for fewer keys": (
        """<ir_version: 11, opset_import: ["": 23]>
        g (float[2,8,4,16] q, float[2,2,6,16] k, bool[4,3] m, float[2,1,4,5] f)
            => (float[2,8,4,16] y, float[2,8,4,16] z) {
          y = Attention (q, k, k, m)
          z = Attention <is_causal = 1> (q, k, k, f)
        }""",
        {
            "q": QUERIES["q"],
            "k": QUERIES["k"],
            "m": np.asarray([[1, 0, 1], [0, 0, 0], [1, 1, 1], [0, 1, 0]], bool),
            "f": _floats(2, 1, 4, 5),
        },
    ),
    "back to a real signal": (
        """<ir_version: 10, opset_import: ["": 20]>
        g (float[2,5,2] x) => (float[2,8,1] y) {
          y = DFT <onesided = 1, inverse = 1> (x)
        }""",
        {"x": _floats(2, 5, 2)},
    ),
    "grid": (
        """<ir_version: 10, opset_import: ["": 20]>
        g (float[2,2,3] t) => (float[2,5,6,2] y) <int64[4] s = {2, 3, 5, 6}> {
          y = AffineGrid (t, s)
        }""",
        {"t": _floats(2, 2, 3)},
    ),
}


def _legalised(proto: onnx.ModelProto) -> onnx.ModelProto:
    model = ir.from_proto(onnx.shape_inference.infer_shapes(proto))
    context = PassContext(evaluate=evaluator())
    assert any(
        effect.modified for effect in PassManager(tuple(p() for p in LEGALIZE_PASSES)).run(model, context)
    )
    again = PassManager(tuple(p() for p in LEGALIZE_PASSES)).run(model, context)
    assert not any(effect.modified for effect in again), "once is enough"
    return ir.to_proto(model)


def _by_ort(proto: onnx.ModelProto, feeds: Arrays) -> list[npt.NDArray[np.generic]]:
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    found: list[npt.NDArray[np.generic]] = session.run(None, dict(feeds))
    return found


@pytest.mark.parametrize("name", BY_ORT)
def test_spelling_by_onnx_runtime(name: str) -> None:
    text, feeds = BY_ORT[name]
    proto = onnx.parser.parse_model(text)
    for before, after in zip(_by_ort(proto, feeds), _by_ort(_legalised(proto), feeds), strict=True):
        assert is_rounding(before, after)


@pytest.mark.parametrize("name", BY_REFERENCE)
def test_spelling_by_the_reference(name: str) -> None:
    """What ONNX Runtime has no kernel for before, or stumbles over."""
    text, feeds = BY_REFERENCE[name]
    proto = onnx.parser.parse_model(text)
    expected = ReferenceEvaluator(proto).run(None, dict(feeds))
    assert isinstance(expected, list)
    for before, after in zip(expected, _by_ort(_legalised(proto), feeds), strict=True):
        assert is_rounding(before, after)


YOUNG = """<ir_version: 11, opset_import: ["": 24]>
g (float[2,3,8] x, float[8] s, float[2,6,4,4] i, float[6] c, float[2,4,3,8] r, float[5,4] cos, float[5,4] sin,
   int64[2,3] p) => (float[2,3,8] a, float[2,3,8] b, float[2,6,4,4] d, float[2,4,3,8] e, float[2,3,8] f) {
  a = RMSNormalization (x, s)
  b = Gelu <approximate = "tanh"> (x)
  d = GroupNormalization <num_groups = 3> (i, c, c)
  e = RotaryEmbedding (r, cos, sin, p)
  f = Swish (x)
}"""


def test_an_old_tensorrt_gets_bodies_of_operators_it_does_not_know(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expand_standard_functions, "unknown_to", lambda _: expand_standard_functions.YOUNGER)
    feeds = {
        "x": _floats(2, 3, 8),
        "s": _floats(8),
        "i": _floats(2, 6, 4, 4),
        "c": _floats(6),
        "r": _floats(2, 4, 3, 8),
        "cos": _floats(5, 4),
        "sin": _floats(5, 4),
        "p": np.asarray([[0, 1, 2], [2, 3, 4]], np.int64),
    }
    proto = onnx.parser.parse_model(YOUNG)
    legal = _legalised(proto)
    assert not {node.op_type for node in legal.graph.node} & expand_standard_functions.YOUNGER
    for before, after in zip(_by_ort(proto, feeds), _by_ort(legal, feeds), strict=True):
        assert is_rounding(before, after)
