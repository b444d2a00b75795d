"""An engine is bound to what was written about it: neither can be exchanged."""

import pytest

from graphopt.backends.tensorrt.key import check_plan, digest, plan_key
from graphopt.errors import ArtifactError

PLAN = b"an engine"


def facts(**changes):
    """Facts with a key that fits them."""
    known = {
        "module": "tensorrt_rtx",
        "version": "1.7.1.116",
        "architectures": ["sm_86", "sm_89"],
        "device": "",
        "hardware_compatible": "none",
        "version_compatible": False,
        "profiles": [{"x": {"least": [1], "usual": [2], "most": [3]}}],
        "workspace_bytes": None,
        "builder_level": 3,
        "tf32": False,
        "model": "0" * 64,
        "plan": digest(PLAN),
        **changes,
    }
    return known | {"key": plan_key(known)}


def test_an_engine_with_its_own_facts_is_taken():
    check_plan(facts(), PLAN)
    check_plan(facts(), memoryview(PLAN))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("module", "tensorrt"),
        ("version", "1.8.0.1"),
        ("architectures", ["sm_86", "sm_89", "sm_90"]),
        ("device", "NVIDIA H100"),
        ("hardware_compatible", "ampere+"),
        ("version_compatible", True),
        ("profiles", []),
        ("workspace_bytes", 1 << 30),
        ("builder_level", 5),
        ("tf32", True),
        ("model", "1" * 64),
    ],
)
def test_facts_that_were_changed_are_refused(name, value):
    with pytest.raises(
        ArtifactError, match=r"facts do not fit its key: they were changed \(graphopt compile"
    ):
        check_plan(facts() | {name: value}, PLAN)
    assert facts(**{name: value})["key"] != facts()["key"]


def test_another_engine_under_the_same_facts_is_refused():
    with pytest.raises(
        ArtifactError, match=r"not the one its facts are of: it is damaged \(.* cuda:sm_86,sm_89\)"
    ):
        check_plan(facts(), b"another engine")


@pytest.mark.parametrize("version", [None, 7, ["1"]])
def test_facts_without_a_version_are_refused(version):
    with pytest.raises(ArtifactError, match="do not say which TensorRT"):
        check_plan(facts(version=version), PLAN)


@pytest.mark.parametrize("architectures", [None, "sm_86", [86], ["sm_86; rm"], [None]])
def test_facts_with_strange_architectures_are_refused(architectures):
    with pytest.raises(ArtifactError, match="do not say which GPUs"):
        check_plan(facts(architectures=architectures), PLAN)


def test_what_people_read_is_not_part_of_the_key():
    assert facts(notes=["a"], layers=7)["key"] == facts()["key"]
