"""The canonical passes together: models mean the same afterwards, and keep what their authors gave them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir
import pytest

from graphopt.errors import ModelError
from graphopt.ir.levels import Level
from graphopt.ir.load import load_model
from graphopt.ir.save import to_bytes
from graphopt.ir.verify import verify
from graphopt.passes.canonical import CANONICAL_PASSES
from graphopt.pipeline.context import PassContext
from tests.conftest import Zoo
from tests.ir.samples import chain
from tests.ir.suite import arrays, cases

Array = npt.NDArray[Any]
LIGHT = sorted((Path(onnx.__file__).parent / "backend" / "test" / "data" / "light").glob("*.onnx"))
FAMILIES = [
    "ppocr_det", "ppocr_rec", "ppocr_cls", "silero_vad", "magika", "basic_pitch", "picodet_layout",
    "smart_turn_qdq", "terrain_unet", "tashkeel_bilstm_int8", "bert_minilm_l3", "vit_s_focus",
    "t5_encoder_int8", "t5_decoder_int8",
]  # fmt: skip


def canonicalise(model: ir.Model) -> list[str]:
    """Run the canonical passes; returns those that change something when they run a second time."""
    for cls in CANONICAL_PASSES:
        cls().run(model, PassContext())
    return [cls.name() for cls in CANONICAL_PASSES if cls().run(model, PassContext())]


def session(data: bytes) -> Any:
    ort = pytest.importorskip("onnxruntime")
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    options.intra_op_num_threads = 2
    return ort.InferenceSession(data, options)


def signature(proto: onnx.ModelProto) -> dict[str, object]:
    return {
        "inputs": [v.SerializeToString() for v in proto.graph.input],
        "outputs": [v.SerializeToString() for v in proto.graph.output],
        "metadata": {p.key: p.value for p in proto.metadata_props},
        "producer": proto.producer_name,
    }


def difference(want: Array, got: Array) -> float:
    """The largest difference in units of ε of the largest output; 0 for the same bits."""
    assert want.dtype == got.dtype
    assert want.shape == got.shape
    if want.dtype == object or want.tobytes() == got.tobytes():
        return 0.0 if want.tolist() == got.tolist() or want.tobytes() == got.tobytes() else np.inf
    if want.dtype.kind not in "fV":
        return np.inf
    a, b = want.astype(np.float64), got.astype(np.float64)
    eps = 2.0 ** -(7 if want.dtype.itemsize == 2 else 23)
    return float(np.nanmax(np.abs(a - b)) / (eps * max(np.nanmax(np.abs(a)), 1e-30)))


@pytest.mark.zoo
@pytest.mark.parametrize("name", FAMILIES)
def test_real_models(name: str, zoo: Zoo) -> None:
    path = zoo(name)
    model = load_model(path)
    assert canonicalise(model) == []
    assert verify(model, Level.CANONICAL) == []
    assert model.opset_imports[""] == 23
    data = to_bytes(model)
    original, result = onnx.load(path), onnx.load_from_string(data)
    assert signature(result) == signature(original)
    feeds = zoo.feeds(name, 0)
    wants, gots = session(path.read_bytes()).run(None, feeds), session(data).run(None, feeds)
    # Some kernels add in another order in their newer version; one real change is thousands of ε.
    assert max(difference(w, g) for w, g in zip(wants, gots, strict=True)) < 64


@pytest.mark.parametrize("path", LIGHT, ids=lambda p: p.stem)
def test_models_of_the_onnx_package(path: Path) -> None:
    model = load_model(path)
    assert canonicalise(model) == []
    assert verify(model, Level.CANONICAL) == []
    original = onnx.load(path)
    result = onnx.load_from_string(to_bytes(model))
    assert signature(result)["outputs"] == signature(original)["outputs"]
    weights = {t.name for t in original.graph.initializer}
    assert [v.name for v in result.graph.input] == [
        v.name for v in original.graph.input if original.ir_version >= 4 or v.name not in weights
    ]
    assert session(to_bytes(model)) is not None


def _check_case(case: Any, counts: dict[str, int]) -> str:
    """One case of the suite; returns what went wrong, or nothing."""
    data = case.model.SerializeToString()
    try:
        original = session(data)
    except Exception:
        original = None
    try:
        model = load_model(data)
        again = canonicalise(model)
    except ModelError as error:
        return f"refused, though ONNX Runtime loads it: {error}" if original is not None else ""
    counts["canonicalised"] += 1
    if again or (found := verify(model, Level.CANONICAL)):
        return f"second run changed it: {again}" if again else str(found[0])
    if original is None:
        return ""
    counts["loaded by ONNX Runtime before and after"] += 1
    result = session(to_bytes(model))
    inputs = arrays(case.data_sets[0][0])
    feeds = dict(zip([v.name for v in original.get_inputs()], inputs, strict=False))
    try:
        wants = original.run(None, feeds)
    except Exception:
        return ""  # ONNX Runtime cannot run the case, or numpy has no such type to feed
    counts["run before and after"] += 1
    for want, got in zip(wants, result.run(None, feeds), strict=True):
        if not isinstance(want, np.ndarray):
            if repr(want) != repr(got):
                return "another sequence"
        elif difference(want, got) > 4:
            return f"differs by {difference(want, got):.1f} ε"
    return ""


def _sweep(every: int, record_property: pytest.RecordProperty) -> None:
    counts = {"canonicalised": 0, "loaded by ONNX Runtime before and after": 0, "run before and after": 0}
    wrong = {case.name: problem for case in cases(every) if (problem := _check_case(case, counts))}
    for what, count in counts.items():
        record_property(f"canonical passes on the operator suite: {what}", count)
    assert not wrong, wrong
    assert counts["run before and after"] > 1000 / every


def test_a_part_of_the_operator_suite(record_property: pytest.RecordProperty) -> None:
    _sweep(5, record_property)


@pytest.mark.soak
def test_the_whole_operator_suite(record_property: pytest.RecordProperty) -> None:
    _sweep(1, record_property)


def test_a_long_chain_goes_through() -> None:
    model = load_model(chain(20_000))
    assert canonicalise(model) == []
    assert verify(model, Level.CANONICAL) == []
