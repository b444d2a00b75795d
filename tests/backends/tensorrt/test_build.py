"""What a person asks for reaches the engine: read back from the builder's log, its settings or the engine."""

import pytest

from graphopt.backends.base import BuildOptions, RegionRefused
from graphopt.backends.engine_options import EngineOptions, ShapeRange
from graphopt.backends.tensorrt.backend import BACKEND
from graphopt.backends.tensorrt.key import check_plan, plan_key
from graphopt.errors import TargetError, UsageError
from graphopt.targets.parse import parse_target
from tests.backends.tensorrt.models import ATTENTION, DYNAMIC, PERCEPTRON, model

BITS = {"sm_75": 0, "sm_80": 1, "sm_86": 2, "sm_89": 3, "sm_120": 4, "sm_121": 5}
"""Position of each architecture in the mask of an engine's header."""


def build(text=PERCEPTRON, target="cuda:sm_86", **options):
    return BACKEND.build(model(text), BuildOptions(parse_target(target), 1, engine=EngineOptions(**options)))


def mask(blob):
    """The architectures an engine of TensorRT-RTX says it is for, as the mask in its header."""
    return int.from_bytes(blob.data[32:36], "little")


def test_one_engine_is_for_every_architecture_named():
    blob = build(target="cuda:sm_86,sm_89,sm_120")
    assert mask(blob) == sum(1 << BITS[name] for name in ("sm_86", "sm_89", "sm_120"))
    assert blob.options["architectures"] == ["sm_86", "sm_89", "sm_120"]
    assert blob.options["target_capabilities"] == 3


@pytest.mark.parametrize("name", ["sm_80", "sm_86", "sm_89", "sm_120", "sm_121"])
def test_every_architecture_alone(name):
    assert mask(build(target=f"cuda:{name}")) == 1 << BITS[name]


def test_an_engine_for_ampere_and_later_is_for_all_but_turing():
    blob = build(hardware_compatible="ampere+")
    assert mask(blob) & 0b111111 == 0b111110
    assert blob.options["hardware_compatible"] == "ampere+"
    with pytest.raises(TargetError, match="sm_75 is older than Ampere"):
        build(target="cuda:sm_75", hardware_compatible="ampere+")


def test_the_blob_says_what_a_host_must_have():
    blob = build()
    facts = blob.options
    assert facts["module"] == "tensorrt_rtx"
    assert facts["version"] == BACKEND.availability().version.rpartition(" ")[2]
    assert facts["inputs"] == [{"name": "x", "dtype": "float32", "shape": [1, 64]}]
    assert facts["outputs"] == [{"name": "y", "dtype": "float32", "shape": [1, 32]}]
    assert facts["layers"] >= 3
    assert facts["weight_bytes"] >= 64 * 32 * 4
    assert facts["profiles"] == []
    assert facts["notes"] == []
    assert facts["key"] == plan_key(facts)
    check_plan(facts, blob.data)


def test_the_same_region_gives_the_same_engine():
    assert build() == build()


def test_other_weights_give_another_key():
    region = model(PERCEPTRON)
    weights = region.graph.initializers["w1"]
    weights.const_value = type(weights.const_value)(weights.const_value.numpy() + 1, name="w1")
    other = BACKEND.build(region, BuildOptions(parse_target("cuda:sm_86"), 1))
    assert other.options["model"] != build().options["model"]
    assert other.options["key"] != build().options["key"]


def test_tensor_float_32_is_off_unless_asked_for():
    plain, tf32 = build(), build(tf32=True)
    assert plain.options["tf32"] is False
    assert tf32.options["tf32"] is True
    assert plain.data != tf32.data


def test_the_builder_level_is_read_back():
    assert build(builder_level=1).options["builder_level"] == 1


def test_the_workspace_is_read_back_and_heeded():
    assert build(workspace_bytes=64 << 20).options["workspace_bytes"] == 64 << 20
    assert build().options["workspace_bytes"] is None
    with pytest.raises(
        RegionRefused, match="no kernel manages with the 65,536 bytes of scratch memory allowed"
    ) as refused:
        build(ATTENTION, workspace_bytes=1 << 16)
    assert refused.value.reasons == {}


def test_profiles_reach_the_engine():
    ranges = ShapeRange((1, 3, 32, 32), (2, 3, 64, 64), (4, 3, 128, 128))
    wide = build(DYNAMIC, profiles=({"x": ranges},))
    assert wide.options["profiles"] == [
        {"x": {"least": [1, 3, 32, 32], "usual": [2, 3, 64, 64], "most": [4, 3, 128, 128]}}
    ]
    assert wide.options["inputs"][0]["shape"] == [-1, 3, -1, -1]
    narrow = build(DYNAMIC, profiles=({"x": ShapeRange((1, 3, 32, 32), (1, 3, 32, 32), (1, 3, 32, 32))},))
    # The largest shape decides how much memory the engine asks for.
    assert wide.options["activation_bytes"] > narrow.options["activation_bytes"]


def test_an_engine_may_have_several_profiles():
    small, large = (ShapeRange((n, 3, 8, 8), (n, 3, 8, 8), (n, 3, 8, 8)) for n in (1, 16))
    assert len(build(DYNAMIC, profiles=({"x": small}, {"x": large})).options["profiles"]) == 2


@pytest.mark.parametrize(
    ("profiles", "why"),
    [
        ((), "an engine needs a range of shapes for x"),
        (({"z": ShapeRange((1,), (1,), (1,))},), "input 'x' has open dims and no range of shapes"),
        (({"x": ShapeRange((4, 3, 8, 8), (2, 3, 8, 8), (1, 3, 8, 8))},), "of x do not fit the network"),
        (({"x": ShapeRange((1, 3, 8), (1, 3, 8), (1, 3, 8))},), "has 4 dimensions but profile 0 has 3"),
    ],
)
def test_open_dims_need_ranges_that_fit(profiles, why):
    with pytest.raises(RegionRefused, match=why) as refused:
        build(DYNAMIC, profiles=profiles)
    assert refused.value.reasons == {}


def test_an_engine_of_tensorrt_rtx_is_bound_to_its_version():
    with pytest.raises(UsageError, match=r"run on the version that built them only .*--version-compatible"):
        build(version_compatible=True)


def test_a_timing_cache_is_left_alone_and_that_is_said(tmp_path):
    path = tmp_path / "timings"
    assert "times nothing while it builds" in build(timing_cache=str(path)).options["notes"][0]
    assert not path.exists()


def test_an_architecture_nobody_builds_for_is_a_clear_error():
    with pytest.raises(TargetError, match="sm_90 needs TensorRT on a machine with that GPU"):
        build(target="cuda:sm_90")


def test_weights_that_fit_no_protobuf_are_read_from_a_file_beside_it(monkeypatch):
    from graphopt.backends.tensorrt.building import files

    seen = {}

    class Seen(files._Weights):
        def place(self, name, tensor):
            seen[name] = super().place(name, tensor)
            return seen[name]

    monkeypatch.setattr(files, "_Weights", Seen)
    build()
    assert seen == {"w1": (0, 64 * 32 * 4)}  # w2 is small enough to stay inside
