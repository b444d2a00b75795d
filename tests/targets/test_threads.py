"""Threads: affinity, cores and the quota of either cgroup version, from given files."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from graphopt.targets import threads
from graphopt.targets.threads import cgroup_paths, cpu_quota, quota_v1, quota_v2, thread_count


def test_at_least_one_on_this_machine() -> None:
    assert 1 <= threads.available_threads() <= len(threads.allowed_cpus())


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity on this system")
def test_affinity_counts() -> None:
    program = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); "
        "from graphopt.targets.threads import available_threads; print(available_threads())"
    )
    done = subprocess.run((sys.executable, "-c", program), capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1"


@pytest.mark.parametrize(
    ("cores", "quota", "expected"),
    [(8, None, 8), (8, 4.0, 4), (8, 2.9, 2), (8, 0.5, 1), (2, 16.0, 2), (0, None, 1)],
)
def test_whole_cpus_of_the_quota(cores: int, quota: float | None, expected: int) -> None:
    assert thread_count(cores, quota) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("max 100000\n", None),
        ("200000 100000\n", 2.0),
        ("50000 100000", 0.5),
        ("150000", 1.5),
        ("", None),
        ("0 100000", None),
        ("x y", None),
        ("100000 0", None),
    ],
)
def test_cpu_max(text: str, expected: float | None) -> None:
    assert quota_v2(text) == expected


@pytest.mark.parametrize(
    ("quota", "period", "expected"),
    [("-1\n", "100000\n", None), ("400000\n", "100000\n", 4.0), ("", "", None), ("25000", "50000", 0.5)],
)
def test_cfs_quota(quota: str, period: str, expected: float | None) -> None:
    assert quota_v1(quota, period) == expected


def test_membership_of_both_versions() -> None:
    text = "12:cpu,cpuacct:/docker/abc\n3:memory:/docker/abc\n0::/user.slice/a:b\nnonsense\n"
    assert cgroup_paths(text) == {
        "cpu": "/docker/abc",
        "cpuacct": "/docker/abc",
        "memory": "/docker/abc",
        "": "/user.slice/a:b",
    }


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.mark.parametrize(
    ("membership", "files", "expected"),
    [
        ("0::/\n", {}, None),
        ("0::/\n", {"cpu.max": "max 100000"}, None),
        # What a container sees of version 2: its own cgroup is the root of the mount.
        ("0::/\n", {"cpu.max": "150000 100000"}, 1.5),
        ("0::/docker/abc\n", {"cpu.max": "150000 100000"}, 1.5),
        # The least on the way up counts.
        ("0::/a/b\n", {"a/cpu.max": "300000 100000", "a/b/cpu.max": "max 100000"}, 3.0),
        ("0::/a/b\n", {"a/cpu.max": "100000 100000", "a/b/cpu.max": "200000 100000"}, 1.0),
        # Somebody else's cgroup does not.
        ("0::/a\n", {"b/cpu.max": "100000 100000"}, None),
        # Version 1, with either name of the mount, the path there or hidden by the container.
        (
            "4:cpu,cpuacct:/a\n",
            {"cpu,cpuacct/a/cpu.cfs_quota_us": "200000", "cpu,cpuacct/a/cpu.cfs_period_us": "100000"},
            2.0,
        ),
        ("1:cpu:/docker/x\n", {"cpu/cpu.cfs_quota_us": "250000", "cpu/cpu.cfs_period_us": "100000"}, 2.5),
        ("1:cpu:/\n", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, None),
        # A path must not lead out of the mount.
        ("0::/../../etc\n", {"cpu.max": "100000 100000"}, 1.0),
    ],
)
def test_quota_of_a_tree(
    tmp_path: Path, membership: str, files: dict[str, str], expected: float | None
) -> None:
    root = write(tmp_path / "cgroup", files)
    (tmp_path / "self").write_text(membership)
    root.mkdir(exist_ok=True)
    assert cpu_quota(root, tmp_path / "self") == expected


def test_no_cgroup_at_all(tmp_path: Path) -> None:
    assert cpu_quota(tmp_path / "none", tmp_path / "none") is None


def test_the_quota_reaches_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "cpu_quota", lambda: 1.0)
    assert threads.available_threads() == 1


def test_two_threads_of_one_core_count_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "allowed_cpus", lambda: frozenset(range(4)))
    monkeypatch.setattr(threads, "read_cores", lambda cpus, root: {frozenset({0, 2}), frozenset({1, 3})})
    monkeypatch.setattr(threads, "cpu_quota", lambda: None)
    assert threads.available_threads() == 2
