"""Every real model compiles at the default level, runs, and computes what it computed before."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnxruntime as ort
import pytest

import graphopt
from benchmarks.zoo.catalog import SETS

if TYPE_CHECKING:
    from tests.conftest import Zoo

pytestmark = pytest.mark.zoo


def _signature(values: object) -> list[tuple[str, int, list[object]]]:
    """Name, element type and dims of each value; a dim without a usable name is None."""
    found = []
    for value in values:  # type: ignore[attr-defined]
        tensor = value.type.tensor_type
        dims = [
            d.dim_value if d.HasField("dim_value") and d.dim_value >= 0 else (d.dim_param or None)
            for d in tensor.shape.dim
        ]
        found.append((value.name, tensor.elem_type, dims))
    return found


def _is_dynamic(dims: list[object]) -> list[bool]:
    return [not isinstance(d, int) for d in dims]


@pytest.mark.parametrize("name", SETS["shared"])
def test_a_real_model_survives_compilation(name: str, zoo: Zoo, tmp_path: Path) -> None:
    source = zoo(name)
    result = graphopt.compile(source, output=tmp_path / "model.gopt", measure=False)
    report = result.report

    assert report.equality is not None
    assert report.equality["verdict"] in ("exact", "rounding"), report.equality["sentence"]
    assert not report.dropped, [f"{d.pass_text}: {d.reason}" for d in report.dropped]
    assert not report.equality["not_checkable"]

    before = onnx.load(source, load_external_data=False)
    after = onnx.load(result.path / "model.onnx", load_external_data=False)
    initializers = {i.name for i in before.graph.initializer}
    inputs = [v for v in before.graph.input if before.ir_version < 4 or v.name not in initializers]
    inputs = [v for v in inputs if v.name not in initializers]
    assert [v.name for v in after.graph.input] == [v.name for v in inputs]
    assert [v.name for v in after.graph.output] == [v.name for v in before.graph.output]
    for old, new in zip(
        _signature([*inputs, *before.graph.output]),
        _signature([*after.graph.input, *after.graph.output]),
        strict=True,
    ):
        assert new[:2] == old[:2]
        if old[2]:
            assert _is_dynamic(new[2]) == _is_dynamic(old[2]), f"{old[0]}: {old[2]} became {new[2]}"
    assert {p.key: p.value for p in after.metadata_props} == {p.key: p.value for p in before.metadata_props}

    # The zoo's own recipe is a feed the compiler has not seen.
    feeds = zoo.feeds(name, seed=11)
    session = graphopt.load(result.path)
    outputs = session.run(feeds)
    expected = ort.InferenceSession(source, providers=["CPUExecutionProvider"]).run(None, feeds)
    assert list(outputs) == [v.name for v in before.graph.output]
    for (output, got), want in zip(outputs.items(), expected, strict=True):
        assert got.shape == np.asarray(want).shape, output
        assert got.dtype == np.asarray(want).dtype, output


@pytest.mark.parametrize("name", ["ppocr_cls", "bert_minilm_l3"])
def test_what_was_written_runs_in_plain_onnx_runtime(name: str, zoo: Zoo, tmp_path: Path) -> None:
    result = graphopt.compile(zoo(name), output=tmp_path / "model.gopt", measure=False)
    report = graphopt.verify(zoo(name), result.path / "model.onnx")
    assert report.equal, report.sentence()
