"""Machines that can be compiled for by name, without having one."""

from __future__ import annotations

from dataclasses import dataclass

from graphopt.targets.target import Caches


@dataclass(frozen=True)
class NamedCpu:
    """A CPU in the table below.

    Attributes:
        arch: "x86_64" or "aarch64".
        isa: the best instruction set it runs.
        cores: assumed; what a small instance of it has.
        caches: of the maker's usual model.
        about: what it is, in words.
    """

    arch: str
    isa: str
    cores: int
    caches: Caches
    about: str


def _caches(l1d_kib: int, l2_kib: int, l3_mib: int) -> Caches:
    return Caches(l1d_kib << 10, l2_kib << 10, l3_mib << 20)


# Levels first (caches and cores that any such machine has), then makers' cores (public data sheets).
NAMED_CPUS: dict[str, NamedCpu] = {
    "x86-64": NamedCpu("x86_64", "x86-64", 2, _caches(32, 256, 4), "any x86-64"),
    "x86-64-v3": NamedCpu("x86_64", "avx2", 4, _caches(32, 256, 8), "any x86-64 with AVX2"),
    "x86-64-v4": NamedCpu("x86_64", "avx512", 4, _caches(32, 1024, 16), "any x86-64 with AVX-512"),
    "skylake-server": NamedCpu(
        "x86_64", "avx512", 8, _caches(32, 1024, 24), "Intel Xeon, 1st generation Scalable"
    ),
    "cascadelake": NamedCpu(
        "x86_64", "avx512-vnni", 8, _caches(32, 1024, 32), "Intel Xeon, 2nd generation Scalable"
    ),
    "icelake-server": NamedCpu(
        "x86_64", "avx512-vnni", 8, _caches(48, 1280, 48), "Intel Xeon, 3rd generation Scalable"
    ),
    "sapphire-rapids": NamedCpu(
        "x86_64", "avx512-vnni-bf16", 8, _caches(48, 2048, 64), "Intel Xeon, 4th generation Scalable"
    ),
    "alder-lake": NamedCpu(
        "x86_64", "avx2-vnni", 8, _caches(48, 1280, 30), "Intel Core, 12th generation and later"
    ),
    "zen2": NamedCpu("x86_64", "avx2", 8, _caches(32, 512, 16), "AMD EPYC 7002, Ryzen 3000"),
    "zen3": NamedCpu("x86_64", "avx2", 8, _caches(32, 512, 32), "AMD EPYC 7003, Ryzen 5000"),
    "zen4": NamedCpu("x86_64", "avx512-vnni-bf16", 8, _caches(32, 1024, 32), "AMD EPYC 9004, Ryzen 7000"),
    "zen5": NamedCpu("x86_64", "avx512-vnni-bf16", 8, _caches(48, 1024, 32), "AMD EPYC 9005, Ryzen 9000"),
    "aarch64": NamedCpu("aarch64", "neon", 4, _caches(32, 512, 2), "any 64-bit Arm"),
    "neoverse-n1": NamedCpu(
        "aarch64", "neon-dotprod", 8, _caches(64, 1024, 32), "AWS Graviton2, Ampere Altra"
    ),
    "neoverse-v1": NamedCpu("aarch64", "neon-dotprod-bf16", 8, _caches(64, 1024, 32), "AWS Graviton3"),
    "neoverse-v2": NamedCpu(
        "aarch64", "neon-dotprod-bf16", 8, _caches(64, 2048, 36), "AWS Graviton4, NVIDIA Grace"
    ),
}

CUDA_ARCHITECTURES: dict[str, str] = {
    "sm_75": "T4, RTX 20",
    "sm_80": "A100, A30",
    "sm_86": "A10, A40, RTX 30",
    "sm_87": "Jetson Orin",
    "sm_89": "L4, L40, RTX 40",
    "sm_90": "H100, H200",
    "sm_100": "B200, GB200",
    "sm_103": "B300, GB300",
    "sm_110": "Jetson Thor",
    "sm_120": "RTX 50, RTX PRO",
    "sm_121": "GB10",
}

CUDA_FAMILIES: dict[str, tuple[str, ...]] = {
    "turing": ("sm_75",),
    "ampere": ("sm_80", "sm_86", "sm_87"),
    "ada": ("sm_89",),
    "hopper": ("sm_90",),
    "blackwell": ("sm_100", "sm_103", "sm_110", "sm_120", "sm_121"),
}
"""What the maker calls a generation → its architectures."""
