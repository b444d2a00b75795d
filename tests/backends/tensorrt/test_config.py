"""What differs between TensorRT 10, 11 and TensorRT-RTX when an engine is configured."""

import pytest

from graphopt.backends.engine_options import EngineOptions, ShapeRange
from graphopt.backends.tensorrt import architectures
from graphopt.backends.tensorrt.building import engine as build_module
from graphopt.backends.tensorrt.building.engine import build
from graphopt.backends.tensorrt.building.request import BuildRefused, BuildRequest, Output
from graphopt.errors import BackendError, UsageError
from graphopt.targets.gpu import Gpu
from tests.backends.tensorrt.fake_library import (
    BuilderFlag,
    HardwareCompatibilityLevel,
    MemoryPoolType,
    Network,
    Tensor,
    fake_tensorrt,
)

H100 = Gpu("NVIDIA H100 80GB HBM3", "sm_90", 80 << 30, "580.95")


@pytest.fixture(params=["10.0.1", "10.16.1.11", "11.4.0.106"])
def run(request, monkeypatch, tmp_path):
    """``run(network, **options)`` builds with a TensorRT of each version: (reply, its configuration)."""

    def of(network=None, plan=b"engine", outputs=(), **options):
        library, builders = fake_tensorrt(request.param, network=network, plan=plan)
        monkeypatch.setattr(build_module, "find_library", lambda name: library)
        monkeypatch.setattr(build_module, "gpus_here", lambda: (H100,))
        monkeypatch.setattr(architectures, "gpus_here", lambda: (H100,))
        path = tmp_path / "plan"
        reply = build(
            BuildRequest("tensorrt", "model", str(path), ("sm_90",), EngineOptions(**options), outputs)
        )
        assert path.read_bytes() == plan
        return reply, builders[0]

    return of


def test_networks_are_strongly_typed(run):
    _, builder = run()
    assert builder.network.flags == 1 << 1


def test_an_engine_is_for_the_gpu_it_was_built_on(run):
    reply, builder = run()
    assert reply.facts["device"] == H100.name
    assert reply.facts["architectures"] == ["sm_90"]
    assert reply.facts["scratch_bytes"] == 4096
    assert builder.config.hardware_compatibility_level is HardwareCompatibilityLevel.NONE


@pytest.mark.parametrize(
    ("asked", "level"), [("same", "SAME_COMPUTE_CAPABILITY"), ("ampere+", "AMPERE_PLUS")]
)
def test_hardware_compatibility_is_a_level(run, asked, level):
    reply, builder = run(hardware_compatible=asked)
    assert builder.config.hardware_compatibility_level is HardwareCompatibilityLevel[level]
    assert reply.facts["hardware_compatible"] == asked


def test_a_level_the_version_lacks_is_a_usage_error(run, monkeypatch):
    class Older:
        NONE, AMPERE_PLUS = range(2)

    monkeypatch.setattr("tests.backends.tensorrt.fake_library.HardwareCompatibilityLevel", Older)
    with pytest.raises(
        UsageError, match=r"has no hardware compatibility 'same' \(use --hardware-compatible am"
    ):
        run(hardware_compatible="same")


def test_flags_pools_and_level(run):
    reply, builder = run(version_compatible=True, workspace_bytes=123, builder_level=5)
    assert builder.config.flags == {BuilderFlag.VERSION_COMPATIBLE}
    assert builder.config.pools == {MemoryPoolType.WORKSPACE: 123}
    assert builder.config.builder_optimization_level == 5
    assert reply.facts["version_compatible"] is True
    assert reply.facts["tf32"] is False
    assert run(tf32=True)[1].config.flags == {BuilderFlag.TF32}


def test_profiles_name_the_inputs_with_open_dims_only(run):
    network = Network([Tensor("x", (-1, 4)), Tensor("fixed", (3,))], [Tensor("y", (-1, 4))])
    ranges = {"x": ShapeRange((1, 4), (2, 4), (8, 4)), "fixed": ShapeRange((3,), (3,), (3,))}
    _, builder = run(network, profiles=(ranges,))
    assert [profile.shapes for profile in builder.config.profiles] == [{"x": ((1, 4), (2, 4), (8, 4))}]


def test_a_failed_build_is_a_refusal(run):
    with pytest.raises(BuildRefused, match="no reason given"):
        run(plan=None)


def test_timings_are_given_and_kept(run, tmp_path, monkeypatch):
    from graphopt.backends.tensorrt.building import timing_cache

    monkeypatch.setattr(timing_cache, "gpus_here", lambda: (H100,))
    path = tmp_path / "timings"
    assert run(timing_cache=str(path))[1].config.given.data == b""
    assert run(timing_cache=str(path))[1].config.given.data == b"new timings"


def test_a_driver_that_is_missing_is_one_line(monkeypatch):
    library, _ = fake_tensorrt()

    def no_driver(logger):
        raise TypeError("pybind11::init(): factory function returned nullptr")

    monkeypatch.setattr(library.api, "Builder", no_driver)
    monkeypatch.setattr(build_module, "find_library", lambda name: library)
    with pytest.raises(
        BackendError, match=r"TensorRT 11\.4\.0\.106 cannot be started: .*nullptr \(graphopt doc"
    ):
        build(BuildRequest("tensorrt", "model", "", ("sm_90",), EngineOptions()))


@pytest.mark.parametrize(
    ("output", "why"),
    [
        (Output("z", "float32", (1, 4)), "output 'z' is missing in the network"),
        (Output("y", "int64", (1, 4)), r"'y' is float32\[1, 4\] instead of int64\[1, 4\]"),
        (Output("y", "float32", (1, 5)), r"instead of float32\[1, 5\]"),
        (Output("y", "float32", (1, 4, 1)), r"instead of float32\[1, 4, 1\]"),
    ],
)
def test_a_network_that_returns_something_else_is_refused(run, output, why):
    with pytest.raises(BuildRefused, match=why) as refused:
        run(outputs=(output,))
    assert refused.value.stage == "parse"


def test_sizes_that_are_not_known_are_not_compared(run):
    run(outputs=(Output("y", "float32", (-1, 4)),))
