"""Which TensorRT builds for which GPUs."""

import pytest

from graphopt.backends.tensorrt import architectures
from graphopt.backends.tensorrt.architectures import builds_for, can_build, can_claim, library_for
from graphopt.backends.tensorrt.module import find_library
from graphopt.errors import TargetError
from graphopt.targets.gpu import Gpu
from tests.backends.tensorrt.fake_library import fake_tensorrt

H100 = Gpu("NVIDIA H100 80GB HBM3", "sm_90", 80 << 30, "580.95")


@pytest.fixture
def machine(monkeypatch):
    """Pretend this machine has the given GPUs and TensorRTs."""

    def have(gpus, found):
        monkeypatch.setattr(architectures, "gpus_here", lambda: tuple(gpus))
        monkeypatch.setattr(architectures, "libraries", lambda: tuple(found))
        can_claim.cache_clear()

    yield have
    can_claim.cache_clear()


def test_tensorrt_rtx_needs_no_gpu():
    known = builds_for(find_library("tensorrt_rtx"))
    assert {"sm_75", "sm_86", "sm_89", "sm_120"} <= set(known)
    assert known == tuple(sorted(known, key=lambda name: int(name[3:])))
    assert library_for(("sm_86", "sm_89", "sm_120")).name == "tensorrt_rtx"


def test_tensorrt_builds_for_the_gpu_at_hand(machine):
    fake, _ = fake_tensorrt()
    rtx = find_library("tensorrt_rtx")
    machine([H100], [fake, rtx])
    assert builds_for(fake) == ("sm_90",)
    assert library_for(("sm_90",)) is fake
    assert library_for(("sm_86",)) is rtx
    assert not can_build(fake, (), "none")


def test_tensorrt_builds_for_later_cards_when_asked(machine):
    fake, _ = fake_tensorrt()
    machine([H100], [fake])
    assert not can_build(fake, ("sm_90", "sm_100"), "none")
    assert can_build(fake, ("sm_80", "sm_90", "sm_100"), "ampere+")
    assert not can_build(fake, ("sm_75", "sm_90"), "ampere+")
    with pytest.raises(TargetError, match=r"sm_100 needs .* \(--hardware-compatible ampere\+ makes one"):
        library_for(("sm_90", "sm_100"))
    assert can_claim(("sm_90", "sm_100")) == (fake, "")


def test_what_nobody_builds_for_is_said_with_what_they_do(machine):
    machine([], [find_library("tensorrt_rtx")])
    library, reason = can_claim(("sm_90",))
    assert library is None
    assert reason.startswith("TensorRT-RTX 1.")
    assert "builds for sm_75, sm_80, sm_86, sm_89, sm_120" in reason
    assert reason.endswith("sm_90 needs TensorRT on a machine with that GPU")


def test_tensorrt_without_a_gpu_builds_for_none(machine):
    fake, _ = fake_tensorrt()
    machine([], [fake])
    with pytest.raises(TargetError, match="builds for the GPU of the machine it runs on, and there is none"):
        library_for(("sm_90",))


def test_without_any_tensorrt_the_fix_is_named(machine):
    machine([], [])
    with pytest.raises(TargetError, match=r"no TensorRT is installed here \(pip install"):
        library_for(("sm_86",))
