"""What Linux says of the CPU, read from given files."""

from __future__ import annotations

from pathlib import Path

import pytest

from graphopt.targets.cpu_files import (
    fallback_caches,
    online_cpus,
    parse_cpu_list,
    parse_model_name,
    parse_size,
    read_caches,
    read_cores,
)
from graphopt.targets.target import Caches


@pytest.mark.parametrize(
    ("text", "expected"),
    [("0", {0}), ("0-3,8\n", {0, 1, 2, 3, 8}), ("", set()), ("junk", set()), ("1,x,2-2", {1, 2})],
)
def test_cpu_lists(text: str, expected: set[int]) -> None:
    assert parse_cpu_list(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"), [("48K\n", 49152), ("2M", 2 << 20), ("512", 512), ("", 0), ("?", 0)]
)
def test_sizes(text: str, expected: int) -> None:
    assert parse_size(text) == expected


def machine(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text + "\n")
    return root


def test_caches(tmp_path: Path) -> None:
    files = {}
    for index, (level, kind, size) in enumerate(
        [
            ("1", "Data", "32K"),
            ("1", "Instruction", "64K"),
            ("2", "Unified", "512K"),
            ("3", "Unified", "16384K"),
        ]
    ):
        folder = f"cpu2/cache/index{index}"
        files |= {f"{folder}/level": level, f"{folder}/type": kind, f"{folder}/size": size}
    root = machine(tmp_path, files)
    assert read_caches(2, root) == Caches(32 << 10, 512 << 10, 16 << 20)
    assert read_caches(0, root) == Caches()


def test_cores_share_threads(tmp_path: Path) -> None:
    root = machine(
        tmp_path,
        {
            "online": "0-3",
            "cpu0/topology/core_cpus_list": "0,2",
            "cpu2/topology/core_cpus_list": "0,2",
            "cpu1/topology/thread_siblings_list": "1,3",
            "cpu3/topology/thread_siblings_list": "1,3",
        },
    )
    assert online_cpus(root) == {0, 1, 2, 3}
    assert read_cores({0, 1, 2, 3}, root) == {frozenset({0, 2}), frozenset({1, 3})}
    assert read_cores({0, 1}, root) == {frozenset({0}), frozenset({1})}


def test_without_topology_each_cpu_is_a_core(tmp_path: Path) -> None:
    assert len(read_cores({0, 1, 2}, tmp_path)) == 3
    assert online_cpus(tmp_path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("processor\t: 0\nmodel name\t: Intel(R) Xeon(R) CPU\nflags: x\n", "Intel(R) Xeon(R) CPU"),
        ("processor : 0\nHardware\t: BCM2835\n", "BCM2835"),
        ("processor : 0\n", ""),
        ("", ""),
    ],
)
def test_model_names(text: str, expected: str) -> None:
    assert parse_model_name(text) == expected


def test_the_c_library_answers_or_says_zero() -> None:
    caches = fallback_caches()
    assert min(caches.l1d, caches.l2, caches.l3) >= 0
