"""``--target`` for people without a GPU: what could be compiled for instead."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from graphopt.backends.tensorrt.module import Library
from graphopt.driver import target
from graphopt.driver.target import find_target
from graphopt.errors import TargetError
from graphopt.targets import parse
from graphopt.targets.gpu import GpuQuery

RTX = SimpleNamespace(ComputeCapability=SimpleNamespace(__members__={"SM86": 0, "SM120": 1, "CURRENT": 2}))


@pytest.fixture(autouse=True)
def _no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parse, "find_gpus", lambda: GpuQuery((), "there is no driver"))


def test_what_can_be_built_here_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(target, "libraries", lambda: (Library("tensorrt_rtx", "1.7.1.116", RTX),))
    with pytest.raises(TargetError) as caught:
        find_target("cuda")
    assert (
        caught.value.message
        == "--target cuda means the GPUs of this machine, and it has none: there is no driver"
    )
    assert caught.value.hint == (
        "name the architectures to compile for, as in --target cuda:sm_86,sm_89; "
        "TensorRT-RTX 1.7.1.116 builds here for sm_86 (A10, A40, RTX 30), sm_120 (RTX 50, RTX PRO)"
    )


def test_without_any_tensorrt_all_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(target, "libraries", lambda: ())
    with pytest.raises(TargetError, match=r"sm_75 \(T4, RTX 20\), .*sm_121 \(GB10\)") as caught:
        find_target("cuda")
    assert caught.value.hint.endswith("; pip install 'graphopt[tensorrt-rtx]' builds for most of them")


def test_everything_else_is_as_it_was() -> None:
    assert find_target("cuda:sm_86,89").architectures == ("sm_86", "sm_89")
    with pytest.raises(TargetError, match="did you mean"):
        find_target("cuda:sm_85")
