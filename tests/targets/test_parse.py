"""From what a person types to a Target, and the help a wrong name gets."""

from __future__ import annotations

from pathlib import Path

import pytest

from graphopt import _kernels
from graphopt.errors import TargetError
from graphopt.targets import cuda, cuda_driver, parse
from graphopt.targets.cuda_driver import CudaDriver
from graphopt.targets.gpu import Gpu, GpuQuery
from graphopt.targets.host import host_target
from graphopt.targets.named import CUDA_ARCHITECTURES, NAMED_CPUS
from graphopt.targets.parse import parse_target, target_names

FOREIGN = "neon-dotprod" if host_target().arch == "x86_64" else "avx512"


def test_this_machine() -> None:
    assert parse_target("cpu") == parse_target(" CPU ") == host_target()
    assert parse_target(f"cpu:{host_target().isa}") == host_target()


@pytest.mark.parametrize("isa", _kernels.supported_isas())
def test_this_machine_held_to_an_instruction_set(isa: str) -> None:
    target = parse_target(f"cpu:{isa}")
    assert (target.isa, target.caches, target.cores) == (isa, host_target().caches, host_target().cores)
    assert set(_kernels.isa_features(isa)) <= set(target.features) <= set(host_target().features)


@pytest.mark.parametrize(
    "name", [*NAMED_CPUS, "cuda:sm_75,sm_121", *(f"cuda:{a}" for a in CUDA_ARCHITECTURES)]
)
def test_named_targets_exist(name: str) -> None:
    target = parse_target(name)
    assert target.isa in (*_kernels.known_isas(), *CUDA_ARCHITECTURES, "sm_75+sm_121")
    assert target.kind == ("cuda" if name.startswith("cuda") else "cpu")


def test_every_listed_name_parses() -> None:
    for name in target_names():
        if name != "cuda":  # that one asks this machine
            parse_target(name)


@pytest.mark.parametrize(
    "text", ["cuda:sm_89", "cuda:sm89", "cuda:89", "cuda:8.9", "cuda:compute_89", "CUDA: sm_89 "]
)
def test_spellings_of_an_architecture(text: str) -> None:
    assert parse_target(text).architectures == ("sm_89",)


@pytest.mark.parametrize(
    "text",
    [
        "cuda:sm_86,sm_89",
        "cuda:sm_89, sm_86",
        "cuda:86;89",
        "cuda:8.6 8.9",
        "cuda:sm_86+sm_89",
        "cuda:89,86,89",
    ],
)
def test_spellings_of_several_architectures(text: str) -> None:
    assert parse_target(text).architectures == ("sm_86", "sm_89")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("zen6", r"no target 'zen6' \(did you mean zen5 or"),
        ("avx2", r"no target 'avx2' \(did you mean cpu:avx2\?"),
        ("sm_86", r"no target 'sm_86' \(did you mean cuda:sm_86\?"),
        ("quantum", r"no target 'quantum' \(a target is cpu, cpu:ISA, .*zen4"),
        ("", r"no target ''"),
        ("cpu:", r"nothing follows the colon"),
        ("zen4:avx2", r"no target 'zen4:avx2' \(did you mean zen4"),
        ("cpu:avx513", r"no instruction set 'avx513' \(did you mean avx512"),
        ("cpu:sse9", r"no instruction set 'sse9' \(known: "),
        (f"cpu:{FOREIGN}", rf"this CPU does not run {FOREIGN} \(this CPU has .*use --target "),
        ("cuda:sm_85", r"no CUDA architecture 'sm_85' \(did you mean .*sm_86"),
        ("cuda:sm_86,", r"no CUDA architecture ''"),
        ("cuda:sm_90a", r"no CUDA architecture 'sm_90a' \(did you mean sm_90"),
        ("cuda:pascal", r"no CUDA architecture 'pascal' \(known: sm_75, "),
        ("cuda:hopper", r"no CUDA architecture 'hopper' \(hopper is sm_90 \(H100, H200\)\)"),
        ("cuda:ampere", r"\(ampere is sm_80 \(A100, A30\), sm_86 \(A10, A40, RTX 30\), sm_87 "),
        ("cuda:L4", r"no CUDA architecture 'l4' \(L4 is sm_89: --target cuda:sm_89\)"),
        ("cuda:rtx4090", r"\(RTX 40 is sm_89: --target cuda:sm_89\)"),
        ("cuda:rtx3080ti", r"\(RTX 30 is sm_86: --target cuda:sm_86\)"),
    ],
)
def test_wrong_names_are_helped(text: str, message: str) -> None:
    with pytest.raises(TargetError, match=message):
        parse_target(text)


def test_errors_are_one_line() -> None:
    for text in ("quantum", "cpu:sse9", "cuda:hopper", "cuda:pascal"):
        with pytest.raises(TargetError) as caught:
            parse_target(text)
        assert "\n" not in str(caught.value)


H100 = Gpu("NVIDIA H100 80GB HBM3", "sm_90", 81559 << 20, "580.65.06")
T4 = Gpu("Tesla T4", "sm_75", 15360 << 20, "580.65.06")


def test_cuda_means_the_gpus_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parse, "find_gpus", lambda: GpuQuery((H100, T4, H100), ""))
    target = parse_target("cuda")
    assert target.architectures == ("sm_75", "sm_90")
    assert target.model_name == "NVIDIA H100 80GB HBM3 + Tesla T4"


def test_cuda_without_a_gpu_says_what_to_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parse, "find_gpus", lambda: GpuQuery((), "nvidia-smi is not installed"))
    with pytest.raises(TargetError) as caught:
        parse_target("cuda")
    message = str(caught.value)
    assert "nvidia-smi is not installed" in message
    assert "--target cuda:sm_86,sm_89" in message
    assert all(name in message for name in CUDA_ARCHITECTURES)


def test_a_gpu_too_new_to_be_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parse, "find_gpus", lambda: GpuQuery((Gpu("NVIDIA X1", "sm_200", 0, "999"),), ""))
    with pytest.raises(TargetError, match="NVIDIA X1 has architecture sm_200, which graphopt does not know"):
        parse_target("cuda")


def test_the_drivers_list() -> None:
    lines = (
        "NVIDIA H100 80GB HBM3, 9.0, 81559, 580.65.06",
        "Tesla T4, 7.5, 15360, 580.65.06",
        "warning: something",
        "Odd, N/A, 1, 2",
    )
    assert cuda.parse_gpus("\n".join(lines)) == (H100, T4)
    assert cuda.parse_gpus("NVIDIA A, B, 12.0, [N/A], 580\n") == (Gpu("NVIDIA A, B", "sm_120", 0, "580"),)
    assert cuda.parse_gpus("") == ()


@pytest.mark.parametrize(
    ("script", "count", "reason"),
    [
        ("echo 'Tesla T4, 7.5, 15360, 580.65.06'", 1, ""),
        (
            "echo 'NVIDIA-SMI has failed because it could not communicate'; exit 9",
            0,
            "nvidia-smi failed: NVIDIA-SMI has",
        ),
        ("exit 6", 0, "nvidia-smi failed: exit status 6"),
        ("true", 0, "nvidia-smi lists no GPU"),
    ],
)
def test_asking_the_driver(
    script: str, count: int, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\n{script}\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(cuda_driver, "cuda_driver", lambda: CudaDriver(None, (), "there is no driver", ""))
    query = cuda.find_gpus()
    assert len(query.gpus) == count
    assert query.reason.startswith(reason)


def test_no_driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(cuda_driver, "cuda_driver", lambda: CudaDriver(None, (), "there is no driver", ""))
    assert cuda.find_gpus() == GpuQuery((), "there is no driver")
