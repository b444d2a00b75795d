"""Target: JSON there and back, and names of hardware that are file names."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest

from graphopt.errors import TargetError
from graphopt.targets.host import host_target, runs_here
from graphopt.targets.named import NAMED_CPUS
from graphopt.targets.parse import cuda_target, named_target
from graphopt.targets.target import Caches, Target

SAMPLE = Target(
    kind="cpu",
    arch="x86_64",
    isa="avx512-vnni",
    features=("avx2", "fma"),
    cores=16,
    caches=Caches(32 << 10, 1280 << 10, 54 << 20),
    model_name="Intel(R) Xeon(R) Platinum 8375C CPU @ 2.90GHz",
    cpuid="GenuineIntel-6-106-6",
)


@pytest.mark.parametrize(
    "target",
    [SAMPLE, host_target(), cuda_target(["sm_86", "sm_75"]), *map(named_target, NAMED_CPUS)],
    ids=lambda target: target.hardware_class,
)
def test_json_there_and_back(target: Target) -> None:
    assert Target.from_json(json.loads(json.dumps(target.to_json()))) == target
    for name in (target.hardware_class, target.hardware_exact):
        assert re.fullmatch(r"[A-Za-z0-9_+-]{1,200}", name)


def test_unknown_fields_are_ignored_and_missing_sizes_are_unknown() -> None:
    target = Target.from_json({"kind": "cpu", "arch": "x86_64", "isa": "avx2", "colour": "blue"})
    assert target == Target("cpu", "x86_64", "avx2")


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        {},
        {"kind": "cpu", "arch": "x86_64"},
        {"kind": 1, "arch": "x86_64", "isa": "avx2"},
        {"kind": "cpu", "arch": "x86_64", "isa": "avx2", "features": "avx2"},
        {"kind": "cpu", "arch": "x86_64", "isa": "avx2", "features": [1]},
        {"kind": "cpu", "arch": "x86_64", "isa": "avx2", "cores": -1},
        {"kind": "cpu", "arch": "x86_64", "isa": "avx2", "cores": True},
        {"kind": "cpu", "arch": "x86_64", "isa": "avx2", "caches": [1]},
        {"kind": "cpu", "arch": "x86_64", "isa": "avx2", "caches": {"l1d": "big"}},
    ],
)
def test_ill_typed_json_is_refused(value: object) -> None:
    with pytest.raises(TargetError, match=r"^target"):
        Target.from_json(value)


def test_what_makes_a_class_and_what_an_exact_name() -> None:
    assert SAMPLE.hardware_class == "x86_64-avx512-vnni-l1d-32k-l2-1280k-l3-55296k-16c"
    assert SAMPLE.hardware_exact.startswith(SAMPLE.hardware_class + "-intel-r-xeon-r-platinum-8375c")
    for change in ({"cores": 8}, {"isa": "avx2"}, {"caches": Caches(32 << 10, 1 << 20, 54 << 20)}):
        assert replace(SAMPLE, **change).hardware_class != SAMPLE.hardware_class
    for change in ({"model_name": "other"}, {"cpuid": "GenuineIntel-6-106-7"}, {"features": ("avx2",)}):
        changed = replace(SAMPLE, **change)
        assert changed.hardware_class == SAMPLE.hardware_class
        assert changed.hardware_exact != SAMPLE.hardware_exact
    reordered = replace(SAMPLE, features=("fma", "avx2"))
    assert reordered.hardware_exact == SAMPLE.hardware_exact


def test_architectures_are_of_gpus_only() -> None:
    assert SAMPLE.architectures == ()
    assert cuda_target(["sm_120", "sm_86", "sm_86"]).architectures == ("sm_86", "sm_120")


def test_this_machine() -> None:
    host = host_target()
    assert host is host_target()
    assert (host.kind, host.cores >= 1, bool(host.model_name)) == ("cpu", True, True)
    assert 0 < host.caches.l1d <= host.caches.l2 or host.caches.l1d == 0
    assert runs_here(host)
    assert not runs_here(cuda_target(["sm_90"]))
    assert not runs_here(replace(host, arch="riscv64"))
