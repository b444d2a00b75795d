"""Opening and running a plan: what does not fit is said, and several threads may run one plan."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from graphopt.backends.base import BuildOptions
from graphopt.backends.executable import RegionBlob
from graphopt.backends.native.backend import BACKEND
from graphopt.backends.native.load import NativeExecutable, load
from graphopt.backends.native.module import import_kernels
from graphopt.errors import ArtifactError, FeedError, UsageError
from tests.backends.native.plans import model_of
from tests.backends.native.whole import host

_TEXT = """product (float[n,3] x, float[3,4] w) => (float[n,4] y) { a = Exp (x)  y = MatMul (a, w) }"""


def _blob(data: bytes, isa: str = "", threads: int = 1) -> RegionBlob:
    return RegionBlob(memoryview(data), {}, None, threads, {}, "", isa=isa)


@pytest.fixture(scope="module")
def data() -> bytes:
    return BACKEND.build(model_of(_TEXT), BuildOptions(host(), 1)).data


@pytest.fixture
def plan(data: bytes) -> NativeExecutable:
    found = load(_blob(data))
    assert isinstance(found, NativeExecutable)
    return found


def _feeds(rows: int = 2) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(rows)
    return {
        "x": rng.standard_normal((rows, 3)).astype(np.float32),
        "w": rng.standard_normal((3, 4)).astype(np.float32),
    }


def test_inputs_and_outputs_are_described(plan: NativeExecutable) -> None:
    assert [str(info) for info in plan.inputs] == ["x: float32[n, 3]", "w: float32[3, 4]"]
    assert [info.name for info in plan.outputs] == ["y"]
    assert plan.outputs[0].dtype == "float32"


def test_every_batch_is_computed(plan: NativeExecutable) -> None:
    for rows in (1, 5, 0, 2):
        feeds = _feeds(rows)
        want = np.exp(feeds["x"]) @ feeds["w"]
        assert np.abs(plan.run(feeds)["y"] - want).max(initial=0) <= 1e-5


def test_a_mapping_need_not_be_a_dict(plan: NativeExecutable) -> None:
    from types import MappingProxyType

    assert plan.run(MappingProxyType(_feeds()))["y"].shape == (2, 4)


def test_a_profile_names_steps_and_operators(plan: NativeExecutable) -> None:
    feeds = _feeds()
    outputs, steps = plan.profile(feeds)
    np.testing.assert_array_equal(outputs["y"], plan.run(feeds)["y"])
    assert [(name, op) for name, op, _ in steps] == [("Exp_0", "elementwise"), ("MatMul_1", "matmul")]
    assert all(seconds >= 0 for _, _, seconds in steps)


def _change(name: str, change: Callable[[np.ndarray], np.ndarray]) -> dict[str, np.ndarray]:
    feeds = _feeds()
    return feeds | {name: change(feeds[name])}


@pytest.mark.parametrize(
    ("feeds", "message"),
    [
        ({"x": _feeds()["x"]}, "input 'w' is missing"),
        (_feeds() | {"z": _feeds()["x"]}, "there is no input 'z'"),
        (_change("x", lambda x: x.astype(np.float64)), "input 'x' has dtype float64"),
        (_change("x", lambda x: x[0]), "input 'x' has shape"),
        (_change("w", lambda w: w[:2]), "axis 0 is 2 instead of 3"),
    ],
)
def test_feeds_that_do_not_fit_are_named(
    plan: NativeExecutable, feeds: dict[str, np.ndarray], message: str
) -> None:
    with pytest.raises(FeedError, match=message):
        plan.run(feeds)
    with pytest.raises(FeedError, match=message):
        plan.profile(feeds)


def test_a_damaged_plan_is_an_artifact_error(data: bytes) -> None:
    for damaged in (b"", b"PLANGOPT" + data[8:], data[: len(data) // 2], data + b"x"):
        with pytest.raises(ArtifactError, match="does not open"):
            load(_blob(damaged))


def test_an_unknown_instruction_set_is_refused(data: bytes) -> None:
    with pytest.raises(UsageError, match="there is no instruction set 'mmx' \\(this machine has "):
        load(_blob(data, isa="mmx"))


@pytest.mark.parametrize("isa", import_kernels().supported_isas())
def test_a_plan_runs_on_every_instruction_set(data: bytes, isa: str) -> None:
    feeds = _feeds(7)
    want = np.exp(feeds["x"]) @ feeds["w"]
    assert np.abs(load(_blob(data, isa=isa)).run(feeds)["y"] - want).max() <= 1e-5


def test_several_threads_run_one_plan(plan: NativeExecutable) -> None:
    wanted = {rows: plan.run(_feeds(rows))["y"].copy() for rows in range(1, 9)}

    def once(number: int) -> bool:
        rows = number % 8 + 1
        return np.array_equal(plan.run(_feeds(rows))["y"], wanted[rows])

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(once, range(400)))


def test_loading_imports_no_compiler() -> None:
    code = (
        "import sys, graphopt.backends.native.load\n"
        "known = {'onnx', 'onnx_ir', 'networkx', 'sympy', 'graphopt.ir', 'graphopt.passes'}\n"
        "bad = known & set(sys.modules)\n"
        "assert not bad, bad"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
