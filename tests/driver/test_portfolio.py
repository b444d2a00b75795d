"""A preferred backend runs the model only if it has enough of it, is equal and is not slower."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

import graphopt
from graphopt.backends.base import Blob, BuildOptions, Claim
from graphopt.backends.onnxruntime.backend import OnnxRuntimeBackend
from graphopt.backends.registry import find_backend
from graphopt.errors import UsageError
from graphopt.targets.target import Target
from tests.driver.slow_passes import matmul_model, waste

Change = Callable[[ir.Model], None]


def nothing(region: ir.Model) -> None:
    """Builds the region as it is."""


def ten_percent_more(region: ir.Model) -> None:
    """Computes 1.1 times what it should."""
    (result,) = region.graph.outputs
    factor = ir.Value(name="factor", const_value=ir.tensor(np.float32(1.1)))
    region.graph.register_initializer(factor)
    node = ir.Node("", "Mul", [result, factor], name="wrong")
    node.outputs[0].name, node.outputs[0].shape, node.outputs[0].type = "wrong", result.shape, result.type
    region.graph.append(node)
    region.graph.outputs[0] = node.outputs[0]
    result.name, node.outputs[0].name = "inner", result.name


@dataclass(frozen=True)
class Preferred(OnnxRuntimeBackend):
    """ONNX Runtime under another name, which changes what it builds."""

    name: str = "preferred"
    least_share: float = 0.0
    change: Change = nothing
    unclaimed: frozenset[str] = frozenset()

    def claims(self, node: ir.Node, target: Target) -> Claim:
        if node.op_type in self.unclaimed:
            return Claim(False, "it has no kernel for that")
        return super().claims(node, target)

    def build(self, region: ir.Model, options: BuildOptions) -> Blob:
        self.change(region)
        blob = super().build(region, options)
        return Blob("onnxruntime", blob.data, blob.options)


@pytest.fixture
def prefer(monkeypatch: pytest.MonkeyPatch) -> Callable[[Preferred], None]:
    """Puts a backend in front of ONNX Runtime."""

    def put(backend: Preferred) -> None:
        both = [backend, find_backend("onnxruntime")]
        monkeypatch.setattr("graphopt.driver.compile.usable_backends", lambda _: both)

    return put


def placement(result: graphopt.CompileResult) -> dict[str, str]:
    """Backend → why it runs what it runs."""
    return {row["backend"]: row["reason"] for row in result.report.placement}


def test_a_right_one_runs_the_model(prefer: Callable[[Preferred], None], tmp_path: Path) -> None:
    prefer(Preferred())
    done = graphopt.compile(matmul_model(), output=tmp_path / "m.gopt", measure=False)
    assert placement(done) == {"preferred": ""}
    assert not done.report.dropped


def test_a_wrong_one_is_given_up_and_named(prefer: Callable[[Preferred], None], tmp_path: Path) -> None:
    prefer(Preferred(change=ten_percent_more))
    done = graphopt.compile(matmul_model(), output=tmp_path / "m.gopt", measure=False)
    assert placement(done) == {"onnxruntime": ""}
    assert [dropped.pass_text for dropped in done.report.dropped] == ["backend preferred"]
    assert done.report.equality is not None
    assert done.report.equality["equal"]


def test_one_that_gets_too_little_leaves_it_to_the_next(
    prefer: Callable[[Preferred], None], tmp_path: Path
) -> None:
    prefer(Preferred(least_share=0.5, unclaimed=frozenset({"MatMul"})))
    done = graphopt.compile(matmul_model(), output=tmp_path / "m.gopt", measure=False)
    assert list(placement(done)) == ["onnxruntime"]
    assert "of the work: the borders would cost more than it gains" in placement(done)["onnxruntime"]
    assert "it has no kernel for that" in placement(done)["onnxruntime"]


@pytest.mark.timing
def test_a_slower_one_is_left_out_and_named(prefer: Callable[[Preferred], None], tmp_path: Path) -> None:
    prefer(Preferred(change=waste))
    for _ in range(3):  # a burst of other work can drown any measurement
        done = graphopt.compile(matmul_model(), output=tmp_path / "m.gopt", measure_seconds=1.5)
        if done.report.dropped:
            break
    assert placement(done) == {"onnxruntime": ""}
    assert [dropped.pass_text for dropped in done.report.dropped] == ["backend preferred"]
    assert "slower with it" in done.report.dropped[0].reason
    again = graphopt.compile(matmul_model(), output=tmp_path / "again.gopt", replay=done.path)
    assert placement(again) == {"onnxruntime": ""}


def test_backends_may_be_named(tmp_path: Path) -> None:
    done = graphopt.compile(
        matmul_model(), output=tmp_path / "m.gopt", measure=False, backends=("reference",)
    )
    assert list(placement(done)) == ["reference"]
    with pytest.raises(UsageError, match="'tensorrt' is not to be had for this target"):
        graphopt.compile(matmul_model(), output=tmp_path / "n.gopt", backends=("tensorrt",))
