"""What ONNX Runtime fuses by itself in a model, it still fuses in graphopt's spelling of it."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import onnx
import onnxruntime as ort
import pytest

from benchmarks.zoo.catalog import SETS
from graphopt.driver.legalize import for_onnxruntime, optimize_for
from graphopt.driver.opt import import_model, pipeline
from graphopt.driver.runners import evaluator
from graphopt.ir.save import save_model

if TYPE_CHECKING:
    from tests.conftest import Zoo

pytestmark = pytest.mark.zoo

REPLACED_BY = {
    "FusedMatMul": "Attention",  # scores and their scale are inside it
    "FastGelu": "Gelu",  # of opset 20: the same kernel
    "SkipLayerNormalization": "LayerNormalization",  # three to nine times as fast, with its Add
    "QLinearSoftmax": "Softmax",  # three times as fast, quantisers included, and nearer to the model
}
"""Fused operators that a spelling of ours gives up, and what computes it then; each was measured."""

QUICK = {"bert_minilm_l3", "magika", "picodet_layout", "ppocr_cls", "smart_turn_qdq", "t5_encoder_int8"}
"""The others take long to compile, and hold the same operators; `make soak` looks at them too."""


def _models() -> list[object]:
    return [pytest.param(name, marks=() if name in QUICK else pytest.mark.soak) for name in SETS["shared"]]


def _what_runs(path: Path, folder: Path) -> Counter[str]:
    """The operators of the graph ONNX Runtime makes of a file, as often as they occur."""
    metadata = {entry.key: entry.value for entry in onnx.load(path, load_external_data=False).metadata_props}
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.optimized_model_filepath = str(folder / "runs.onnx")
    for key, value in json.loads(metadata.get("graphopt.onnxruntime.session_config", "{}")).items():
        options.add_session_config_entry(key, value)
    ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    graph = onnx.load(folder / "runs.onnx", load_external_data=False).graph
    return Counter(f"{node.domain}.{node.op_type}".lstrip(".") for node in graph.node)


def _kind(name: str) -> str:
    return name.rpartition(".")[2]


@pytest.mark.parametrize("name", _models())
def test_no_fusion_is_lost(name: str, zoo: Zoo, tmp_path: Path) -> None:
    source = Path(zoo(name))
    steps = pipeline(level=2, legalize=for_onnxruntime())
    done = optimize_for(import_model(source), steps, "onnxruntime", evaluate=evaluator())
    save_model(done.model, tmp_path / "after.onnx")
    before, after = _what_runs(source, tmp_path), _what_runs(tmp_path / "after.onnx", tmp_path)

    fused = {op for op in before if op.startswith("com.microsoft")}
    lost = {_kind(op) for op in fused - after.keys()}
    ran = {_kind(op) for op in after}
    unexplained = {kind for kind in lost if REPLACED_BY.get(kind) not in ran}
    assert not unexplained, f"{name}: ONNX Runtime no longer makes {sorted(unexplained)}"

    blocked = "com.microsoft.nchwc."
    gained = after[f"{blocked}Conv"] - before[f"{blocked}Conv"]
    assert gained >= 0, "a convolution left the blocked layout"
    for reorder in ("ReorderInput", "ReorderOutput"):
        # A convolution that was none before, such as a phase of a transposed one, may bring its own.
        assert after[blocked + reorder] <= before[blocked + reorder] + gained, (
            "more layout changes than before"
        )
