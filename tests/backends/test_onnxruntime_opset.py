"""What ONNX Runtime serves badly in its newest spelling is handed to it in an older one."""

from __future__ import annotations

import numpy as np
import onnx.parser
import onnx_ir as ir
import pytest

from graphopt.backends.onnxruntime.opset import _BADLY_SERVED_SINCE, opset_for_onnxruntime
from graphopt.backends.onnxruntime.runner import make_runner
from graphopt.ir.load import load_model
from graphopt.ir.schemas import schema
from graphopt.ir.shapes import infer_shapes

ROI = """<ir_version: 11, opset_import: ["": 23]>
g (float[1, 2, 8, 8] x, float[n, 4] r, int64[n] b) => (float[n, 2, 1, 1] y) { y = RoiAlign (x, r, b) }"""


def _model(text: str) -> ir.Model:
    model = load_model(onnx.parser.parse_model(text))
    infer_shapes(model)
    return model


def test_a_node_without_a_kernel_runs() -> None:
    x = np.ones((1, 2, 8, 8), np.float32)
    feeds = {"x": x, "r": np.array([[0, 0, 4, 4]], np.float32), "b": np.zeros(1, np.int64)}
    assert make_runner(_model(ROI)).run(feeds)["y"].reshape(-1).tolist() == [1.0, 1.0]


def test_the_model_itself_keeps_its_opset() -> None:
    model = _model(ROI)
    assert opset_for_onnxruntime(model) == 21
    make_runner(model)
    assert model.opset_imports[""] == 23


def test_others_are_left_alone() -> None:
    text = '<ir_version: 11, opset_import: ["": 23]>\ng (float[2] x) => (float[2] y) { y = Elu (x) }'
    assert opset_for_onnxruntime(_model(text)) is None


def test_the_table_lists_every_operator_without_a_kernel() -> None:
    binding = pytest.importorskip("onnxruntime.capi.onnxruntime_pybind11_state")
    if not hasattr(binding, "get_all_opkernel_def"):
        pytest.skip("this build of ONNX Runtime does not list its kernels")
    ranges: dict[str, list[tuple[int, int]]] = {}
    for kernel in binding.get_all_opkernel_def():
        if kernel.provider == "CPUExecutionProvider" and kernel.domain == "":
            ranges.setdefault(kernel.op_name, []).append(tuple(kernel.version_range))
    for name, found in ranges.items():
        entry = schema("", name, 23)
        if entry is None or entry.deprecated:
            continue
        # An open range serves only the very version it starts with.
        closed = [low <= entry.since <= high for low, high in found if high < 2**31 - 1]
        served = any(closed) or any(low == entry.since for low, _ in found)
        assert served or name in _BADLY_SERVED_SINCE, f"{name}-{entry.since} has no kernel"
