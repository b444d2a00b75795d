"""Every real model compiles for NVIDIA GPUs that are not here, in fp32 and in fp16.

Engines are built for three architectures at once. They cannot run here: what they are built from is judged
against the model instead, and the artifact is checked as far as a host without a GPU can.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import onnx
import onnxruntime as ort
import pytest

import graphopt
from benchmarks.cuda_share import (
    ARCHITECTURES,
    ENGINE,
    LEAST_SHARE,
    PRECISIONS,
    compile_zoo,
    share_of,
)
from benchmarks.workloads import sample
from benchmarks.zoo.catalog import SETS
from graphopt.artifact.reader import open_artifact

if TYPE_CHECKING:
    from graphopt.driver.compile import CompileResult
    from tests.conftest import Zoo

pytestmark = pytest.mark.zoo

Record = Callable[[str, object], None]


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", SETS["shared"])
def test_a_real_model_becomes_engines(
    name: str, precision: str, zoo: Zoo, tmp_path: Path, record_property: Record
) -> None:
    result = compile_zoo(name, zoo(name), tmp_path / "m.gopt", precision=precision)
    report, where = result.report, share_of(result)
    record_property(f"cuda: ‰ of FLOPs in engines: {name} {precision}", round(1000 * where.in_engines))

    assert report.equality is not None
    assert report.equality["equal"], report.equality["sentence"]
    assert not report.equality["not_checkable"]
    assert not report.dropped, [f"{d.pass_text}: {d.reason}" for d in report.dropped]

    outside = sum(where.nodes.values()) - where.nodes.get(ENGINE, 0)
    assert len(where.refused) == outside, "every node outside engines is named"
    assert all(where.refused.values()), "with the reason"
    assert where.in_engines >= LEAST_SHARE, where.refused

    _check_engines(result)
    _check_signature(zoo(name), result.path / "model.onnx", name)


def _check_engines(result: CompileResult) -> None:
    """The artifact opens, hashes and all, and each engine is one plan for every architecture."""
    artifact = open_artifact(result.path)
    engines = [region for region in artifact.manifest.regions if region.backend == ENGINE]
    assert engines
    for region in engines:
        assert tuple(region.options["architectures"]) == ARCHITECTURES
        assert len(str(region.options["key"])) == 64
        assert len(artifact.read(region.file)) > 0
    plans = [name for name in artifact.manifest.files if name.startswith("regions/")]
    assert len(plans) == len(artifact.manifest.regions), "no file per architecture"


def _check_signature(before: Path, after: Path, name: str) -> None:
    """Names and dtypes of inputs and outputs are the model's own, whatever precision is inside."""
    old, new = (onnx.load(path, load_external_data=False).graph for path in (before, after))
    fed = sample(name)
    assert [(v.name, v.type.tensor_type.elem_type) for v in new.input] == [
        (v.name, v.type.tensor_type.elem_type) for v in old.input if v.name in fed
    ]
    assert [(v.name, v.type.tensor_type.elem_type) for v in new.output] == [
        (v.name, v.type.tensor_type.elem_type) for v in old.output
    ]


def test_without_a_gpu_the_fallback_model_runs_on_request(zoo: Zoo, tmp_path: Path) -> None:
    source, feeds = zoo("ppocr_cls"), sample("ppocr_cls", seed=5)
    result = compile_zoo("ppocr_cls", source, tmp_path / "m.gopt")
    expected = ort.InferenceSession(source, providers=["CPUExecutionProvider"]).run(None, feeds)
    got = graphopt.load(result.path, fallback=True).run(feeds)
    for array, want in zip(got.values(), expected, strict=True):
        assert (array.shape, array.dtype) == (want.shape, want.dtype)
        assert array.argmax() == want.argmax()
